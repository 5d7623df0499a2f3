import Testing

/// What a request goes through from the browser to the backend and back, on one stack.
@Suite(
    .gatewayStack(
        GatewayStack.Plan(
            children: 32,
            stores: ["default", "lasting", "conflict", "small", "mod"],
            nginx: """
                fastcgi_param HTTP_PROXY $http_x_proxy if_not_empty;
                fastcgi_param SESSION_ID $http_x_forged if_not_empty;
                fastcgi_param SESSION_DATA $http_x_forged if_not_empty;
                fastcgi_param SESSION_DATA_PARTS $http_x_forged if_not_empty;
                fastcgi_param SESSION_DATA_1 $http_x_forged if_not_empty;
                fastcgi_param SESSION_STATE $http_x_forged if_not_empty;
                fastcgi_param SESSION_NEXT_ID $http_x_forged if_not_empty;
                fastcgi_param SESSION_TOKEN $http_x_forged if_not_empty;
                fastcgi_param SESSION_LATE $http_x_forged if_not_empty;
                fastcgi_param SESSION_VERSION $http_x_forged if_not_empty;
                """
        ) { parts in
            """
            sites:
              default:
                \(parts.store)
                ignore: '^/static/'
                \(parts.fastCGI(connections: 16))
              cgi:
                sessions_of: default
                \(parts.cgi)
              lasting:
                \(parts.store)
                cookie:
                  lifetime: 10s
                  same_site: strict
                \(parts.fastCGI(connections: 2))
              conflict:
                match: conflict.test
                \(parts.store)
                \(parts.fastCGI(connections: 2))
              accelerated:
                sessions_of: default
                x_accel: true
                \(parts.fastCGI(connections: 1))
              small:
                \(parts.store)
                max_size: 2k
                \(parts.fastCGI(connections: 2))
              mod:
                \(parts.store)
                contract: mod_session
                \(parts.fastCGI(connections: 2))
              mod-of-default:
                sessions_of: default
                contract: mod_session
                \(parts.fastCGI(connections: 1))
              plain:
                \(parts.fastCGI(connections: 1))
            """
        }
    )
)
struct SessionPathTests {}
