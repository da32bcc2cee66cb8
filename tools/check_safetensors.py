"""Opens files that this package wrote with Python's safetensors (0.8.0) and checks what they promise.

    python tools/check_safetensors.py w.bin [ALIGNMENT]
"""

import json
import sys

from safetensors import safe_open

path = sys.argv[1]
alignment = int(sys.argv[2]) if len(sys.argv) > 2 else 64
with open(path, "rb") as file:
    header_size = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(header_size))
with safe_open(path, framework="pt") as tensors:
    names = [name for name in tensors.keys() if not name.startswith("__padding__.")]
    for name in names:
        begin = 8 + header_size + header[name]["data_offsets"][0]
        assert begin % alignment == 0, f"{name} begins at byte {begin}"
        assert list(tensors.get_tensor(name).shape) == header[name]["shape"], name
    print(f"{path}: {len(names)} tensors, all aligned to {alignment} bytes; metadata: {', '.join(tensors.metadata() or {})}")
