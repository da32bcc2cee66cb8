import Tensors

extension DeformableMultiHeadAttention {
    /// The module's extents and options; the defaults are those of the package deformable-attention 0.0.20.
    ///
    /// Lists have one entry an axis, outermost axis first: `[length]`, `[height, width]` or `[frames, height, width]`.
    public struct Configuration: Sendable, Hashable {
        /// n, the number of spatial axes: 1, 2 or 3.
        public var rank: Int
        /// C, the channels of input and output (`dim`).
        public var width: Int
        /// D, the channels of one head (`dim_head`).
        public var headWidth = 64
        /// M
        public var heads = 8
        /// The share of attention weights that training drops, 0..<1.
        public var dropout: Float = 0
        /// r, input positions for each sampled one (`downsample_factor`).
        public var downsampling: [Int]
        /// The farthest that a sample moves, in steps of the sampled grid (`offset_scale`); the downsampling
        /// unless set.
        /// A checkpoint that stores it (3-D ones do) has the last word.
        public var offsetScale: [Float] {
            get { chosenOffsetScale ?? downsampling.map(Float.init) }
            set { chosenOffsetScale = newValue }
        }
        /// k, the extents of the offset network's kernel (`offset_kernel_size`): r plus an even number.
        public var offsetKernel: [Int]
        /// G, groups of channels with offsets of their own (`offset_groups`); one a head unless set.
        public var offsetGroups: Int {
            get { chosenOffsetGroups ?? heads }
            set { chosenOffsetGroups = newValue }
        }
        /// Whether the position bias sees `sign(d) ln(|d| + 1)` instead of the distance d (`cpb_log_distance`, a choice in 1-D).
        public var usesLogDistance = true
        /// Whether each group's queries see the group's channels only (`group_queries`).
        public var groupsQueries = true
        /// The same for keys and values (`group_key_values`).
        public var groupsKeysAndValues = true
        public var geometry = Geometry.reference

        private var chosenOffsetScale: [Float]?
        private var chosenOffsetGroups: Int?

        /// A module with the package's defaults for everything but the rank and the width.
        public init(rank: Int, width: Int) {
            self.rank = rank
            self.width = width
            // An impossible rank waits for `validate`.
            let axes = max(0, min(3, rank))
            downsampling = Array(repeating: 4, count: axes)
            offsetKernel = Array(repeating: 6, count: axes)
        }

        /// I, the channels of queries, keys and values.
        package var innerWidth: Int { heads * headWidth }
        /// The position bias's hidden channels.
        package var biasWidth: Int { width / 4 }

        /// - Throws: ``DeformableAttentionError/configuration(_:)`` naming the option that cannot be.
        public func validate() throws {
            func require(_ condition: Bool, _ problem: @autoclosure () -> String) throws {
                if !condition { throw DeformableAttentionError.configuration(problem()) }
            }
            try require((1...3).contains(rank), "rank \(rank), expected 1, 2 or 3 spatial axes")
            for (name, count) in [
                ("downsampling", downsampling.count), ("offsetScale", offsetScale.count),
                ("offsetKernel", offsetKernel.count),
            ] {
                try require(count == rank, "\(name) has entries for \(count) axes, expected \(rank)")
            }
            let extents =
                [("width", [width]), ("headWidth", [headWidth]), ("heads", [heads]), ("offsetGroups", [offsetGroups])]
                + [("downsampling", downsampling), ("offsetKernel", offsetKernel)]
            for (name, values) in extents {
                for value in values {
                    try require(
                        (1...Self.largestExtent).contains(value),
                        "\(name) \(value), expected 1...\(Self.largestExtent)")
                }
            }
            // So that no weight's extents multiply to more than fits: a file never has that many.
            try require(
                heads * headWidth <= Self.largestExtent,
                "\(heads) heads of \(headWidth) channels, expected at most \(Self.largestExtent) channels together")
            try require(
                offsetKernel.reduce(1, { min(Self.largestExtent + 1, $0 * $1) }) <= Self.largestExtent,
                "offsetKernel \(offsetKernel), expected at most \(Self.largestExtent) taps together")
            try require(width >= 4, "width \(width), expected at least 4: a quarter of it is the position bias's")
            try require(
                heads % offsetGroups == 0, "\(heads) heads cannot be shared evenly by \(offsetGroups) offset groups")
            try require(
                width % offsetGroups == 0, "\(width) channels cannot be shared evenly by \(offsetGroups) offset groups")
            for (kernel, factor) in zip(offsetKernel, downsampling) {
                try require(
                    kernel >= factor && (kernel - factor) % 2 == 0,
                    "kernel \(kernel) with downsampling \(factor), expected the factor plus an even number")
            }
            try require(offsetScale.allSatisfy(\.isFinite), "offsetScale \(offsetScale) must be finite")
            try require((0..<1).contains(dropout), "dropout \(dropout), expected 0 or more and less than 1")
        }

        private static let largestExtent = 1 << 16
    }

    /// How grid positions become sampling locations.
    public enum Geometry: Sendable, Hashable {
        /// As the package does it, for checkpoints trained with it: in 2-D, x is divided by the height and y by the width; in
        /// 3-D, (frame, row, column) is sampled as (column, row, frame).
        case reference
        /// Every axis divided by its own extent and sampled along itself. On square 2-D maps the same as ``reference``.
        case corrected
    }
}

/// What is wrong with a module's options or input.
public enum DeformableAttentionError: Error, Sendable, Hashable {
    case configuration(String)
    /// The input's shape does not suit the module.
    case input(String)
}

extension DeformableAttentionError: DiagnosedError {
    public var code: String {
        switch self {
        case .configuration: "attention-configuration"
        case .input: "attention-input"
        }
    }

    public var description: String {
        switch self {
        case .configuration(let problem): "deformable attention cannot be configured so: \(problem)"
        case .input(let problem): "input of deformable attention: \(problem)"
        }
    }
}
