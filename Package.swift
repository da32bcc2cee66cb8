// swift-tools-version: 6.0
import PackageDescription

// Every target says with its dependencies what it may import; nothing points upwards. CONTRIBUTING has the list.
let package = Package(
    name: "detect",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "detect", targets: ["detect"]),
        .library(name: "DeformDETR", targets: ["DeformDETR"]),
        .library(name: "DeformableAttention", targets: ["DeformableAttention"]),
        .library(name: "Backbone", targets: ["Backbone"]),
        .library(name: "Matcher", targets: ["Matcher"]),
        .library(name: "COCO", targets: ["COCO"]),
        .library(name: "Training", targets: ["Training"]),
        .library(name: "CodeImages", targets: ["CodeImages"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        // C: system libraries behind status codes, and the loops that need run-time instruction-set dispatch.
        // tools/test_onednn3.sh names another oneDNN than the system's.
        .target(name: "COneDNN", linkerSettings: [.linkedLibrary(Context.environment["ONEDNN_LIBRARY"] ?? "dnnl")]),
        .target(name: "CZint", linkerSettings: [.linkedLibrary("zint")]),
        .systemLibrary(
            name: "CFreeType", pkgConfig: "freetype2",
            providers: [.apt(["libfreetype-dev", "pkg-config"]), .brew(["freetype"])]),
        .target(
            name: "CImageCodecs", dependencies: ["CFreeType"], exclude: ["DejaVuSans-LICENSE.txt"],
            linkerSettings: [
                .linkedLibrary("jpeg"), .linkedLibrary("png"), .linkedLibrary("z"), .linkedLibrary("freetype"),
            ]),
        .target(
            name: "CKernels",
            linkerSettings: [.linkedLibrary("gomp", .when(platforms: [.linux])), .linkedLibrary("m")]),

        // Ground: memory, geometry, files.
        .target(name: "Tensors", dependencies: ["CKernels"]),
        .target(name: "Boxes"),
        .target(name: "Checkpoint", dependencies: ["Tensors"]),
        .target(name: "Images", dependencies: ["Tensors", "CImageCodecs", "Boxes"]),

        // The network.
        .target(name: "Layers", dependencies: ["Tensors", "Checkpoint", "COneDNN", "CKernels"]),
        .target(name: "DeformableAttention", dependencies: ["Layers", "Tensors", "Checkpoint", "CKernels"]),
        .target(name: "Backbone", dependencies: ["Layers", "Tensors", "Checkpoint"]),
        .target(
            name: "DeformDETR",
            dependencies: [
                "Backbone", "Checkpoint", "DeformableAttention", "Boxes", "Images", "Layers", "Tensors",
            ]),
        .target(name: "Matcher", dependencies: ["Boxes", "Tensors"]),

        // Judging and training.
        .target(name: "COCO", dependencies: ["Boxes", "Checkpoint", "Tensors"]),
        .target(
            name: "Training",
            dependencies: [
                "Backbone", "Boxes", "CKernels", "COCO", "Checkpoint", "DeformDETR", "DeformableAttention", "Images",
                "Layers", "Matcher", "Tensors",
            ]),

        // The shipped detector's images.
        .target(name: "CodeImages", dependencies: ["Boxes", "CZint", "Images", "Tensors"]),

        // The command.
        .executableTarget(
            name: "detect",
            dependencies: [
                "Boxes", "DeformDETR", "COCO", "Checkpoint", "CodeImages", "Images", "Layers", "Tensors", "Training",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // Tests.
        .target(name: "TestSupport", dependencies: ["Tensors", "Checkpoint"], path: "Tests/TestSupport"),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors", "TestSupport"]),
        .testTarget(name: "LayersTests", dependencies: ["Layers", "TestSupport"]),
        .target(
            name: "AttentionCases", dependencies: ["Checkpoint", "DeformableAttention", "Layers", "Tensors"],
            path: "Tests/AttentionCases"),
        .testTarget(
            name: "DeformableAttentionTests", dependencies: ["AttentionCases", "DeformableAttention", "TestSupport"],
            exclude: ["Golden"]),
        .testTarget(name: "BoxesTests", dependencies: ["Boxes"]),
        .testTarget(
            name: "MatcherTests", dependencies: ["Matcher", "Boxes", "Tensors", "TestSupport"], exclude: ["Golden"]),
        .testTarget(
            name: "CheckpointTests", dependencies: ["Checkpoint", "Tensors", "TestSupport"], exclude: ["Golden"]),
        .testTarget(
            name: "DeformDETRTests", dependencies: ["DeformDETR", "Checkpoint", "Tensors", "TestSupport"],
            exclude: ["Golden"]),
        .testTarget(
            name: "BackboneTests", dependencies: ["Backbone", "Checkpoint", "Layers", "Tensors", "TestSupport"],
            exclude: ["Golden"]),
        .testTarget(
            name: "COCOTests", dependencies: ["COCO", "Boxes", "Tensors", "TestSupport"], exclude: ["Golden"]),
        .testTarget(
            name: "TrainingTests",
            dependencies: [
                "Training", "Backbone", "Boxes", "COCO", "Checkpoint", "DeformDETR", "Images", "Layers", "Matcher",
                "Tensors", "TestSupport",
            ],
            exclude: ["Golden"]),
        .testTarget(
            name: "CodeImagesTests", dependencies: ["CodeImages", "Boxes", "CZint", "Images", "Tensors", "TestSupport"]),
        .testTarget(
            name: "DetectTests",
            dependencies: ["detect", "Boxes", "COCO", "Checkpoint", "Images", "Tensors", "Training", "TestSupport"]),
        .testTarget(name: "ImagesTests", dependencies: ["Images", "TestSupport"], exclude: ["Golden"]),
        .executableTarget(
            name: "symbol-probe", dependencies: ["Checkpoint", "CodeImages", "Images"], path: "Tests/SymbolProbe"),
        .executableTarget(name: "pixel-probe", dependencies: ["Images"], path: "Tests/PixelProbe"),
        .executableTarget(
            name: "attention-probe",
            dependencies: ["AttentionCases", "Checkpoint", "DeformableAttention", "Layers", "Tensors", "TestSupport"],
            path: "Tests/AttentionProbe"),
        .executableTarget(
            name: "training-probe",
            dependencies: [
                "Backbone", "Boxes", "Checkpoint", "DeformDETR", "Layers", "Tensors", "TestSupport", "Training",
            ],
            path: "Tests/TrainingProbe"),
    ]
)
