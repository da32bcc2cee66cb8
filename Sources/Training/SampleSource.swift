/// Where a training's images come from. Any thread may ask for any sample in any order, and gets the same each time.
public protocol SampleSource: Sendable {
    /// Names of the classes, by column of the logits.
    var classNames: [String] { get }
    /// How many samples an epoch has, at least one.
    var sampleCount: Int { get }

    /// One sample as it lies in the source, before augmentation.
    ///
    /// - Parameters:
    ///   - epoch: from 0 on; a source without end has other samples in each.
    ///   - position: `0 ..< sampleCount`, in the order in which the epoch takes them.
    /// - Throws: what kept it from being read, naming the file.
    func sample(epoch: Int, position: Int) throws -> LabelledImage
}
