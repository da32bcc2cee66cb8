// `--dump`: the tensors of one run, for comparing with another implementation.

import Checkpoint
import Tensors

/// Collects the tensors that the detector reports.
final class TensorDump {
    private let path: String
    private var tensors = TensorDictionary()

    init(path: String) { self.path = path }

    func record(_ name: String, _ value: Tensor) { tensors[name] = value }

    /// Writes what was collected as safetensors in float32.
    func write() throws { try SafetensorsWriter.write(tensors, to: path) }
}
