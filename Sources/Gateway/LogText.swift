/// Text from outside for the log: control characters escaped, length bounded.
enum LogText {
    static let maximumLength = 1_024

    static func escaped(_ text: some StringProtocol) -> String {
        var result = ""
        var length = 0
        for scalar in text.unicodeScalars {
            guard length < Self.maximumLength else {
                result += "…"
                break
            }
            length += 1
            if scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) || scalar == "\u{2028}"
                || scalar == "\u{2029}"
            {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
