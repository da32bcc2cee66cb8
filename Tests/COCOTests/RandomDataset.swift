// The datasets of tools/golden_coco_evaluation.py, draw for draw.

import COCO

/// A dataset and results for it, the same for the same seed.
struct RandomDataset {
    let dataset: Dataset
    let results: [DetectionResult]

    init(seed: UInt64) {
        var random = LinearGenerator(state: seed)
        let images = stride(from: 0, to: 2 * (1 + random.below(8)), by: 2).map { index in
            DatasetImage(id: 3 * index - 3 * random.below(2))
        }
        let categories = (0..<1 + random.below(6)).map { Category(id: 2 * $0, name: "\($0)") }
        let sides = [20, 60, 250]
        var annotations: [Annotation] = []
        var results: [DetectionResult] = []
        let ties = random.below(3)
        for image in images.reversed() {
            for category in categories.reversed() {
                if random.below(4) == 0 { continue }
                let truths = (0..<random.below(6)).map { _ in Self.box(&random, sides[random.below(3)]) }
                for truth in truths {
                    let area = truth.area * [1, 0.5, 0.25][random.below(3)]
                    annotations.append(
                        Annotation(
                            id: annotations.count, imageID: image.id, categoryID: category.id, box: truth, area: area,
                            isCrowd: random.below(8) == 0))
                }
                let count = random.below(40) == 0 ? 110 + random.below(30) : random.below(12)
                for _ in 0..<count {
                    var found =
                        !truths.isEmpty && random.below(3) > 0
                        ? Self.near(truths[random.below(truths.count)], &random)
                        : Self.box(&random, sides[random.below(3)])
                    found.width = max(found.width, 0)
                    found.height = max(found.height, 0)
                    let score = Double(random.below([4, 64, 1 << 32][ties])) / 4_294_967_296
                    results.append(
                        DetectionResult(
                            imageID: image.id, categoryID: random.below(30) > 0 ? category.id : 99, box: found,
                            score: score))
                }
            }
        }
        dataset = Dataset(images: images.reversed(), annotations: annotations, categories: categories.reversed())
        self.results = results
    }

    private static func box(_ random: inout LinearGenerator, _ side: Int) -> SizedBox {
        var width = Double(random.below(4 * side)) / 4
        let height = Double(random.below(4 * side)) / 4
        if random.below(20) == 0 { width = 0 }
        let x = Double(random.below(4 * 300)) / 4 - 20
        return SizedBox(x: x, y: Double(random.below(4 * 300)) / 4 - 20, width: width, height: height)
    }

    private static func near(_ truth: SizedBox, _ random: inout LinearGenerator) -> SizedBox {
        let reach = 1 + random.below(40)
        func moved(_ value: Double, by scale: Double) -> Double {
            random.below(3) > 0 ? value + Double(random.below(2 * reach + 1) - reach) / 4 * scale : value
        }
        let (x, y) = (moved(truth.x, by: 1), moved(truth.y, by: 1))
        let width = moved(truth.width, by: 0.5)
        return SizedBox(x: x, y: y, width: width, height: moved(truth.height, by: 0.5))
    }
}

/// A 64-bit linear congruential generator's upper 32 bits (constants: Knuth's MMIX generator).
struct LinearGenerator {
    var state: UInt64

    mutating func below(_ limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 32) % limit
    }
}
