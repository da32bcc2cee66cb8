import Tensors

/// Why an image could not be detected.
public enum DetectorError: DiagnosedError, Equatable {
    /// A two-stage model chooses its queries among the locations of the feature maps; there are too few.
    case imageTooSmall(locations: Int, queries: Int)
    /// The network's output is NaN or infinite: the weights do not suit the image, or are broken.
    case nonfiniteOutput(query: Int)

    public var code: String {
        switch self {
        case .imageTooSmall: "image_too_small"
        case .nonfiniteOutput: "nonfinite_output"
        }
    }

    public var description: String {
        switch self {
        case .imageTooSmall(let locations, let queries):
            """
            the resized image gives \(locations) feature locations, but this two-stage model needs at least \(queries); \
            use a larger --size
            """
        case .nonfiniteOutput(let query):
            "the network's output for query \(query) is not a finite number; check the weights"
        }
    }
}
