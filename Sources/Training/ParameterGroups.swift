// Which parameters learn, how fast, and how strongly they are drawn to 0.

/// Learning rates and weight decay by the parameters' names; the first rule that fits a name counts.
public struct ParameterGroups: Sendable, Hashable {
    /// How one group of parameters learns.
    public struct Group: Sendable, Hashable {
        /// Before the schedule's factor, 0 or more.
        public var learningRate: Double
        /// Decoupled, 0 or more: a step multiplies the parameter by 1 - learning rate * weight decay.
        public var weightDecay: Double

        public init(learningRate: Double, weightDecay: Double) {
            self.learningRate = learningRate
            self.weightDecay = weightDecay
        }
    }

    /// A group for all names that contain one of some parts.
    public struct Rule: Sendable, Hashable {
        /// Any of these in a parameter's name makes the rule fit.
        public var nameParts: [String]
        /// How the parameters learn; nil: frozen.
        public var group: Group?

        public init(nameParts: [String], group: Group?) {
            self.nameParts = nameParts
            self.group = group
        }
    }

    /// In the order in which they are tried.
    public var rules: [Rule]
    /// For names that no rule fits.
    public var rest: Group

    public init(rules: [Rule], rest: Group) {
        self.rules = rules
        self.rest = rest
    }

    /// The group of a parameter; nil if it is frozen.
    public func group(of name: String) -> Group? {
        for rule in rules where rule.nameParts.contains(where: name.hasPart) { return rule.group }
        return rest
    }

    /// What batch normalisation measures: no gradient ever changes it.
    public static let statistics = [".running_mean", ".running_var"]
    /// The gains and shifts of the backbone's batch normalisations.
    public static let backboneNormalization = [".bn1.", ".bn2.", ".bn3.", ".downsample.1."]
    /// The backbone's first convolution and first stage, which hold what all photographs have in common.
    public static let backboneBeginning = ["backbone.0.body.conv1.", "backbone.0.body.bn1.", "backbone.0.body.layer1."]

    /// The authors' groups: the backbone learns slowly, and so do what places the sampling points.
    ///
    /// - Parameters:
    ///   - learningRate: of all that is not named otherwise.
    ///   - backboneLearningRate: of `backbone.0`.
    ///   - placementFactor: what `learningRate` is multiplied by for `reference_points` and `sampling_offsets`.
    ///   - weightDecay: of all.
    ///   - frozen: parts of names, besides ``statistics``, that do not learn. A backbone that starts from nothing has to learn
    ///     as a whole.
    /// - Source: `main.py` (`--lr_backbone_names`, `--lr_linear_proj_names`) and `models/backbone.py` of
    ///   fundamentalvision/Deformable-DETR.
    public static func published(
        learningRate: Double = 2e-4, backboneLearningRate: Double = 2e-5, placementFactor: Double = 0.1,
        weightDecay: Double = 1e-4, frozen: [String] = backboneBeginning + backboneNormalization
    ) -> ParameterGroups {
        ParameterGroups(
            rules: [
                Rule(nameParts: statistics + frozen, group: nil),
                Rule(
                    nameParts: ["backbone.0"],
                    group: Group(learningRate: backboneLearningRate, weightDecay: weightDecay)),
                Rule(
                    nameParts: ["reference_points", "sampling_offsets"],
                    group: Group(learningRate: learningRate * placementFactor, weightDecay: weightDecay)),
            ],
            rest: Group(learningRate: learningRate, weightDecay: weightDecay))
    }
}

extension String {
    /// Whether the UTF-8 of `part` occurs in this string's: Foundation's `contains` takes 20 times as long, and a step of a training asks
    /// some thousand times.
    fileprivate func hasPart(_ part: String) -> Bool {
        var name = self
        var part = part
        return name.withUTF8 { name in
            part.withUTF8 { part in
                guard name.count >= part.count else { return false }
                return (0...name.count - part.count).contains { name[$0..<$0 + part.count].elementsEqual(part) }
            }
        }
    }
}
