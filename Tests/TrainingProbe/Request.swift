import Tensors

/// The probe's arguments.
struct Request {
    var weightsPath: String?
    var batchPath: String?
    var height = 480
    var width = 640
    var objects = 8
    var steps = 3
    var threads = Parallel.processorCount
    var dropsOut = true
    /// The process's time on processors, all threads together, instead of the wall clock's.
    var countsProcessorTime = false

    static let usage =
        "usage: training-probe [WEIGHTS] [--batch BATCH.safetensors] [--size HxW] [--objects N] [--steps N] [--threads N]"
        + " [--no-dropout] [--processor-time]\n"

    /// Nil when the arguments make no sense.
    init?(_ arguments: [String]) {
        var rest = arguments[...]
        if let first = rest.first, !first.hasPrefix("--") { weightsPath = rest.removeFirst() }
        func number(_ text: String?, _ range: ClosedRange<Int>) -> Int? {
            text.flatMap { Int($0) }.flatMap { range.contains($0) ? $0 : nil }
        }
        while let option = rest.popFirst() {
            switch option {
            case "--no-dropout": dropsOut = false
            case "--processor-time": countsProcessorTime = true
            case "--batch":
                guard let path = rest.popFirst() else { return nil }
                batchPath = path
            case "--size":
                let extents = (rest.popFirst() ?? "").split(separator: "x").map { number(String($0), 32...4096) }
                guard extents.count == 2, let height = extents[0], let width = extents[1] else { return nil }
                (self.height, self.width) = (height, width)
            case "--objects":
                guard let objects = number(rest.popFirst(), 0...1000) else { return nil }
                self.objects = objects
            case "--steps", "--threads":
                guard let count = number(rest.popFirst(), 1...10_000) else { return nil }
                if option == "--steps" { steps = count } else { threads = count }
            default: return nil
            }
        }
    }
}
