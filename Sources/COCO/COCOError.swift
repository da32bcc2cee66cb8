import Tensors

/// A COCO file that cannot be used: which file, where in it, what was expected and what was found.
public struct COCOError: DiagnosedError, Equatable {
    public let path: String
    /// `annotations[3] (id 17), bbox`: the place in its array, from 0, the id where it is known, and the field; or a byte.
    public let location: String
    public let expected: String
    public let found: String

    public init(path: String, location: String, expected: String, found: String) {
        self.path = path
        self.location = location
        self.expected = expected
        self.found = found
    }

    public var code: String { "malformed_coco" }

    public var description: String { "\(path): \(location): expected \(expected), found \(found)" }
}
