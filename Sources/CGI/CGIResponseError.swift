/// Why the head of a script's answer is refused. Never carries bytes of the head: they may hold a session.
package enum CGIResponseError: String, Error, Sendable {
    case headTooLong = "the head is longer than the limit"
    case separateFieldsTooLong = "the session fields are longer than their limit"
    case tooManyFields = "the head has too many fields"
    case lineWithoutColon = "a line of the head has no colon"
    case foldedLine = "a line of the head begins with white space"
    case invalidFieldName = "a field's name is not a token"
    case invalidFieldValue = "a field's value has a control character"
    case invalidStatus = "the status is not a number between 200 and 599"
    case differentStatuses = "two statuses differ"
    case invalidContentLength = "the Content-Length is not a number"
    case differentContentLengths = "two Content-Lengths differ"
    case endedInsideHead = "the answer ended before its head"
}
