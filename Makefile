# What a person does with this package. `make demo` and `make test` need nothing but Debian and a Swift toolchain.

.PHONY: all demo test build install format lint bench packages clean

# A target imports only what Package.swift says it may.
CHECKED = -c release --explicit-target-dependency-import-check error
prefix ?= /usr/local

all: build

# Installs what is missing of the system packages, builds, and detects on the sample images.
demo: build
	.build/release/detect samples --weights samples/codes.bin --output detections
	@echo "The annotated copies are in detections/."

test: packages
	swift test $(CHECKED)

# One binary that needs no Swift on the machine it runs on.
build: packages
	swift build $(CHECKED) --static-swift-stdlib --product detect

install: build
	install -D .build/release/detect $(DESTDIR)$(prefix)/bin/detect

packages:
	@tools/install_packages.sh

format:
	swift format --in-place --recursive --parallel Package.swift Sources Tests

lint:
	swift format lint --recursive --parallel --strict Package.swift Sources Tests

# Compares with OpenVINO, ONNX Runtime and PyTorch on this machine, in an environment of its own, and writes a folder of
# Benchmarks/runs; half an hour, and gigabytes of downloads. `tools/bench.sh --rounds 3` is shorter.
bench: build
	tools/bench.sh

clean:
	swift package clean
