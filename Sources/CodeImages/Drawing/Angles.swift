#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The unit vector at an angle in radians, clockwise from the right.
func direction(_ angle: Float) -> Point { [cos(angle), sin(angle)] }

/// The angle whose sine is `value`, which is brought into -1...1.
func arcSine(_ value: Float) -> Float { asin(min(max(value, -1), 1)) }
