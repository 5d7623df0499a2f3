import Configuration
import Responder
import Testing

@testable import Gateway

struct ResponderConfigurationTests {
    @Test func theClientsTimesAreThoseOfTheConfiguration() throws {
        let configuration = try ConfigurationFile.parse(
            """
            header_timeout: 3s
            client_timeout: 7s
            minimum_rate: 123
            sites: {default: {backend: {fastcgi: "127.0.0.1:1"}}}
            """,
            name: "g.yaml"
        ).get()
        let responder = ResponderConfiguration(configuration)
        #expect(responder.headerTimeout == .seconds(3))
        #expect(responder.clientTimeout == .seconds(7))
        // For what a client does not take, too.
        #expect(responder.writeTimeout == .seconds(7))
        #expect(responder.minimumRate == 123)
    }
}
