// What can go wrong between the network's output and its weights.

import Boxes
import Tensors

/// Training that cannot go on as it is.
public enum TrainingError: DiagnosedError, Equatable {
    /// The network gave NaN or infinity. `output` names the tensor, `element` counts in memory order.
    case nonfiniteOutput(output: String, element: Int)
    /// A true box has a coordinate that is not a number, or a negative extent. `object` counts the image's objects, `image` the
    /// batch's images.
    case invalidTarget(image: Int, object: Int, box: CenterBox)
    /// A parameter's gradient contains NaN or infinity.
    case nonfiniteGradient(parameter: String, element: Int)
    /// A stored state does not belong to these parameters.
    case wrongState(name: String, expected: String, found: String)

    public var code: String {
        switch self {
        case .nonfiniteOutput: "nonfinite_output"
        case .invalidTarget: "invalid_target"
        case .nonfiniteGradient: "nonfinite_gradient"
        case .wrongState: "wrong_training_state"
        }
    }

    public var description: String {
        switch self {
        case .nonfiniteOutput(let output, let element):
            "element \(element) of the \(output) is not finite: the training has diverged; go back to an earlier"
                + " checkpoint and lower the learning rate"
        case .invalidTarget(let image, let object, let box):
            "object \(object) of image \(image) of the batch has the box [cx \(box.centerX), cy \(box.centerY), w"
                + " \(box.width), h \(box.height)]; expected finite numbers, width and height not negative"
        case .nonfiniteGradient(let parameter, let element):
            "element \(element) of the gradient of '\(parameter)' is not finite: the training has diverged; go back to an"
                + " earlier checkpoint and lower the learning rate"
        case .wrongState(let name, let expected, let found):
            "the stored training state '\(name)': expected \(expected), found \(found); it belongs to another model or"
                + " other options"
        }
    }
}
