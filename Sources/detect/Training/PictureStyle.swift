// What the pictures of a training have in common.

import Images

/// The letters, colours and distances of a picture for people.
struct PictureStyle {
    let text = Typeface(pixelSize: 15)
    let headingText = Typeface(pixelSize: 17)
    let titleText = Typeface(pixelSize: 20)
    let ink = Color(0x24292F)
    let quietInk = Color(0x656D76)
    let grid = Color(0xE9ECEF)
    let axis = Color(0xAFB8C1)
    let ground = Color.white
    /// Of the ground of an image that doesn't fill its place.
    let emptyGround = Color(0xF1F3F5)
    /// Between things that belong together, in pixels.
    let gap = 8
    /// Around the whole picture, in pixels.
    let margin = 24
}
