/// Where a surface stands before the camera, and how it is bent: the map between its pixels and the image's.
struct Pose: Sendable {
    /// A cylinder's axis, upright on the surface, and radius, in surface pixels.
    struct Bend: Sendable {
        let axis: Float
        let radius: Float
        /// How far the middle sags below the sides, as a share of the radius: the camera looks from above or below.
        let sag: Float
    }

    /// Paper that is not flat: every point is shifted a little.
    struct Crumple: Sendable {
        let across: FractalNoise
        let down: FractalNoise
        /// In surface pixels.
        let strength: Float
        /// How much light the slopes take and give.
        let shading: Float

        /// - Parameter depth: the shift relative to the shorter wavelength; below 0.15, so that no two points meet.
        init(wavelength: Point, depth: Float, shading: Float = 0, _ random: inout RandomSource) {
            across = FractalNoise(wavelength: wavelength, octaves: 2, roughness: 0.35, &random)
            down = FractalNoise(wavelength: wavelength, octaves: 2, roughness: 0.35, &random)
            strength = wavelength.min() * depth
            self.shading = shading
        }

        func shift(_ point: Point) -> Point { [across(point) * strength, down(point) * strength] }

        /// How much brighter a point is for the slope there.
        func shade(at point: Point) -> Float {
            let step = max(strength, 1)
            return 1 + (across(point + [step, step]) - across(point)) * shading
        }
    }

    let toImage: Homography
    let toSurface: Homography
    /// How near a surface's corner may be, in focal lengths.
    private static let nearest: Float = 0.3
    var bend: Bend?
    var crumple: Crumple?
    /// The edges of a thing's thickness: how far its back lies from its front in the image, per corner.
    private(set) var backCorners: [Point] = []
    private let size: Point

    /// - Parameters:
    ///   - size: the surface's, in its pixels.
    ///   - anchor: the point of the surface that comes to lie at `place` in the image.
    ///   - scale: image pixels for each surface pixel at the anchor, before tilting.
    ///   - angles: roll in the image's plane, then pitch and yaw out of it, in radians.
    ///   - focalLength: in image pixels.
    ///   - thickness: of the thing behind the surface, in surface pixels.
    init(
        size: Point, anchor: Point, place: Point, scale: Float, angles: (roll: Float, pitch: Float, yaw: Float),
        focalLength: Float, thickness: Float = 0
    ) {
        self.size = size
        let (roll, pitch, yaw) = (direction(angles.roll), direction(angles.pitch), direction(angles.yaw))
        // Columns of yaw * pitch * roll: where the surface's x, y and normal point.
        func turned(_ vector: SIMD3<Float>) -> SIMD3<Float> {
            let rolled = SIMD3<Float>(
                roll.x * vector.x - roll.y * vector.y, roll.y * vector.x + roll.x * vector.y, vector.z)
            let pitched = SIMD3<Float>(
                rolled.x, pitch.x * rolled.y - pitch.y * rolled.z, pitch.y * rolled.y + pitch.x * rolled.z)
            return SIMD3<Float>(
                yaw.x * pitched.x + yaw.y * pitched.z, pitched.y, -yaw.y * pitched.x + yaw.x * pitched.z)
        }
        let right = turned([1, 0, 0]) * scale
        let down = turned([0, 1, 0]) * scale
        let back = turned([0, 0, 1]) * scale
        let start = SIMD3<Float>(0, 0, focalLength) - right * anchor.x - down * anchor.y
        func projected(_ vector: SIMD3<Float>) -> SIMD3<Float> {
            [
                vector.x * focalLength + vector.z * place.x, vector.y * focalLength + vector.z * place.y, vector.z,
            ]
        }
        toImage = Homography(columns: projected(right), projected(down), projected(start))
        toSurface = toImage.inverse
        guard thickness > 0 else { return }
        backCorners = Self.corners(of: size).map { corner in
            let place = projected(start + right * corner.x + down * corner.y + back * thickness)
            return Point(place.x, place.y) / place.z
        }
    }

    static func corners(of size: Point) -> [Point] { [[0, 0], [size.x, 0], size, [0, size.y]] }

    /// Whether every corner is far enough from the camera.
    func isInFront(focalLength: Float) -> Bool {
        Self.corners(of: size).allSatisfy { toImage.depth($0) > focalLength * Self.nearest }
    }

    /// The surface's point that is seen at a point of the image, if it were not crumpled; nil beyond a cylinder's edge or
    /// the horizon.
    func flatPoint(_ point: Point) -> Point? {
        guard toSurface.depth(point) > 0 else { return nil }
        var place = toSurface(point)
        if let bend {
            let offset = (place.x - bend.axis) / bend.radius
            guard abs(offset) < 1 else { return nil }
            place.x = bend.axis + bend.radius * arcSine(offset)
            place.y += bend.sag * bend.radius * ((1 - offset * offset).squareRoot() - 1)
        }
        return place
    }

    /// Where a point of the surface is seen: the reverse of ``flatPoint(_:)`` with its ``Crumple/shift(_:)``, to a hundredth of a pixel.
    func imagePoint(_ point: Point) -> Point {
        var place = point
        if let crumple {
            for _ in 0..<8 { place = point - crumple.shift(place) }
        }
        if let bend {
            let angle = min(max((place.x - bend.axis) / bend.radius, -1.5), 1.5)
            let offset = direction(angle).y
            place.x = bend.axis + bend.radius * offset
            place.y -= bend.sag * bend.radius * ((1 - offset * offset).squareRoot() - 1)
        }
        return toImage(place)
    }

    /// How much brighter a point is for a cylinder's turning away.
    func bendShade(at point: Point) -> Float {
        guard let bend else { return 1 }
        let angle = min(max((point.x - bend.axis) / bend.radius, -1.57), 1.57)
        return 0.45 + 0.6 * direction(angle).x
    }

    /// The outline of an area of the surface in the image, clockwise from the upper left, each side in `steps`.
    func outline(of area: Area, steps: Int = 16) -> [Point] {
        let corners: [Point] = [
            [area.left, area.top], [area.right, area.top], [area.right, area.bottom], [area.left, area.bottom],
        ]
        return (0..<4).flatMap { side in
            (0..<steps).map { step in
                let (start, end) = (corners[side], corners[(side + 1) % 4])
                return imagePoint(start + (end - start) * (Float(step) / Float(steps)))
            }
        }
    }
}

/// What a crumpled surface does at a point.
struct Fold {
    /// Added to the flat surface's point.
    var shift = Point.zero
    /// A factor of the brightness.
    var shade: Float = 1
}

/// The folds along a row of the image: computed on every fourth pixel and interpolated between, since they are long.
struct Folds {
    private static let step = 4
    private let first: Int
    private var folds: [Fold] = []

    init(_ pose: Pose, columns: Range<Int>, row: Int) {
        first = columns.lowerBound
        var last = Fold()
        for column in stride(from: first, to: columns.upperBound + Self.step, by: Self.step) {
            if let crumple = pose.crumple, let flat = pose.flatPoint([Float(column) + 0.5, Float(row) + 0.5]) {
                let shift = crumple.shift(flat)
                last = Fold(shift: shift, shade: crumple.shade(at: flat + shift))
            }
            folds.append(last)
        }
    }

    func at(_ column: Int) -> Fold {
        let (index, rest) = ((column - first) / Self.step, (column - first) % Self.step)
        let (left, right, share) = (folds[index], folds[index + 1], Float(rest) / Float(Self.step))
        return Fold(
            shift: left.shift + (right.shift - left.shift) * share,
            shade: left.shade + (right.shade - left.shade) * share)
    }
}
