import Boxes
import Checkpoint
import DeformDETR
import Tensors
import Training

/// One image with its objects.
struct Batch {
    let images: ImageBatch
    let targets: [Targets]

    /// Reads a batch file: `pixels` [1, 3, H, W], `boxes` [T, 4], `classes` [T].
    init(contentsOf path: String) throws {
        let cursor = WeightCursor(try WeightFile.open(path))
        let pixels = cursor.shape(of: "pixels") ?? []
        let (height, width) = pixels.rank == 4 ? (pixels[2], pixels[3]) : (0, 0)
        let count = cursor.shape(of: "classes")?.count ?? 0
        images = ImageBatch([try cursor.tensor("pixels", [1, 3, height, width]).channelsLast()])
        let boxes = try cursor.tensor("boxes", [count, 4]).elements
        let classes = try cursor.tensor("classes", [count]).elements
        targets = [
            Targets(
                classIDs: classes.map { Int($0.rounded()) },
                boxes: (0..<count).map {
                    CenterBox(
                        centerX: boxes[4 * $0], centerY: boxes[4 * $0 + 1], width: boxes[4 * $0 + 2],
                        height: boxes[4 * $0 + 3])
                })
        ]
    }

    /// Random pixels and objects.
    init(height: Int, width: Int, objects: Int, classes: Int) {
        var generator = SeededGenerator(seed: 1)
        images = ImageBatch([
            Tensor([1, height, width, 3]) { elements in
                for index in elements.indices { elements[index] = Float.random(in: -2...2, using: &generator) }
            }
        ])
        let boxes = (0..<objects).map { _ in
            CenterBox(
                centerX: .random(in: 0.3...0.7, using: &generator), centerY: .random(in: 0.3...0.7, using: &generator),
                width: .random(in: 0.05...0.5, using: &generator), height: .random(in: 0.05...0.5, using: &generator))
        }
        targets = [
            Targets(classIDs: boxes.map { _ in .random(in: 0..<classes, using: &generator) }, boxes: boxes)
        ]
    }
}
