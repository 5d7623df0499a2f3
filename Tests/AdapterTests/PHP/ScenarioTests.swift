import Foundation
import GatewayTesting
import Testing

extension PHPAdapterTests {
    /// What applications do with sessions, side by side with PHP's own handler (pages/scenarios.php).
    struct ScenarioTests {
        struct Scenario: CustomTestStringConvertible {
            var name: String
            var testDescription: String { self.name }
        }

        /// The names in the file.
        static let scenarios: [Scenario] = {
            let path = "\(AdapterStack.project)/Tests/AdapterTests/pages/scenarios.php"
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").filter { $0.hasPrefix("    '") && $0.contains("' => ") }.map { line in
                let name = line.dropFirst(5).prefix(upTo: line.firstRange(of: "' => ")!.lowerBound)
                return Scenario(name: String(name).replacing("\\'", with: "'"))
            }
        }()

        private func bodies(_ scenario: Scenario, site: String) async throws -> [String] {
            var visitor = try Visitor(site)
            let name = scenario.name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
            let steps = try #require(Int(try await visitor.get("/scenario.php?name=\(name)&steps").text))
            var bodies: [String] = []
            for step in 0..<steps {
                let response = try await visitor.get("/scenario.php?name=\(name)&step=\(step)")
                bodies.append("\(response.status) \(response.text)\(response.header("X-Own") ?? "")")
            }
            return bodies
        }

        @Test(arguments: Self.scenarios)
        func anApplicationSeesWhatItSawBefore(scenario: Scenario) async throws {
            let native = try await self.bodies(scenario, site: "native")
            #expect(!native.isEmpty && native.contains { $0.count > 5 })
            #expect(try await self.bodies(scenario, site: "scenarios") == native)
            #expect(try await self.bodies(scenario, site: "unbuffered") == native)
        }

        @Test func thereAreScenarios() {
            #expect(Self.scenarios.count > 50)
        }
    }
}
