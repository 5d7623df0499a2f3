import Foundation

/// The hand-made Cookie headers of Tests/Shared/cookies.json, which the integration tests give to real backends too.
struct CookieCases: Decodable {
    struct Case: Decodable {
        var cookie: String
        /// `none`, `malformed`, `conflicting`, or the id that is accepted.
        var session: String
        /// The header that the backend sees; `nil` where it sees none.
        var backend: String?
        var why: String?
    }

    var name: String
    var cases: [Case]

    static func load() throws -> [CookieCases] {
        let file = URL(filePath: #filePath).appending(path: "../../../Shared/cookies.json").standardized
        return try JSONDecoder().decode([CookieCases].self, from: Data(contentsOf: file))
    }
}
