/// How long the head of a script's answer may be.
package struct CGIResponseLimits: Sendable, Equatable {
    /// All lines together, line ends included, without the separate fields.
    package var maximumHeadLength: Int
    /// Fields that have a limit of their own, in lower case. They are compared without regard to case.
    let separateFields: [[UInt8]]
    /// All lines of separate fields together, line ends included.
    package var maximumSeparateLength: Int
    /// Fields in total, of either kind.
    package var maximumFieldCount: Int

    package init(
        maximumHeadLength: Int = 32 * 1_024,
        separateFields: Set<String> = [],
        maximumSeparateLength: Int = 0,
        maximumFieldCount: Int = 1_024
    ) {
        self.maximumHeadLength = maximumHeadLength
        self.separateFields = separateFields.map { $0.lowercased() }.sorted().map { Array($0.utf8) }
        self.maximumSeparateLength = maximumSeparateLength
        self.maximumFieldCount = maximumFieldCount
    }
}
