/// A projective map of the plane.
struct Homography: Sendable {
    /// Columns of the 3x3 matrix: what x, y and 1 are multiplied with.
    private let first: SIMD3<Float>
    private let second: SIMD3<Float>
    private let third: SIMD3<Float>

    init(columns first: SIMD3<Float>, _ second: SIMD3<Float>, _ third: SIMD3<Float>) {
        self.first = first
        self.second = second
        self.third = third
    }

    func callAsFunction(_ point: Point) -> Point {
        let place = first * point.x + second * point.y + third
        return Point(place.x, place.y) / place.z
    }

    /// The third coordinate before division; what lies behind the camera has none above 0.
    func depth(_ point: Point) -> Float { first.z * point.x + second.z * point.y + third.z }

    /// The map back, by cofactors.
    var inverse: Homography {
        func cross(_ left: SIMD3<Float>, _ right: SIMD3<Float>) -> SIMD3<Float> {
            [
                left.y * right.z - left.z * right.y, left.z * right.x - left.x * right.z,
                left.x * right.y - left.y * right.x,
            ]
        }
        // Rows of the inverse; only their common scale is left out, which division removes, so keep its sign.
        let rows = (cross(second, third), cross(third, first), cross(first, second))
        let determinant = (first * rows.0).sum()
        let scale = 1 / determinant
        let (top, middle, bottom) = (rows.0 * scale, rows.1 * scale, rows.2 * scale)
        return Homography(
            columns: [top.x, middle.x, bottom.x], [top.y, middle.y, bottom.y], [top.z, middle.z, bottom.z])
    }
}
