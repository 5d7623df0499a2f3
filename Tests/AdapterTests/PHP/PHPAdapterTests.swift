import GatewayTesting
import Testing

/// `adapter: php` with real php-fpm pools, some of which have settings of their own.
@Suite(
    .adapterStack(
        AdapterStack.Plan(
            pools: [
                "shared": .init(),
                "scenarios": .init(children: 4),
                "unbuffered": .init(children: 4, lines: "php_admin_value[output_buffering] = 0"),
                "native": .init(children: 4, lines: "php_value[session.save_path] = /tmp"),
                "automatic": .init(lines: "php_admin_value[session.auto_start] = 1"),
                "locked": .init(lines: "php_admin_value[session.save_handler] = files"),
                "configured": .init(settings: ["auto_prepend_file={adapters}/php/session-gateway.php"]),
                "prepending": .init(settings: ["auto_prepend_file={pages}/prepended.php", "user_ini.cache_ttl=0"]),
                "progress": .init(lines: "php_admin_value[session.upload_progress.enabled] = 1"),
                "turns": .init(children: 3),
                "piped": .init(lines: "php_admin_value[disable_functions] = stream_socket_client"),
            ],
            stores: [
                "default", "scenarios", "unbuffered", "automatic", "locked", "configured", "prepending", "piped",
                "named", "turns", "php-name",
            ],
            nginx: { parts in
                """
                fastcgi_param PHP_VALUE $http_x_php_value if_not_empty;
                fastcgi_param PHP_ADMIN_VALUE $http_x_php_admin_value if_not_empty;
                """
            },
            server: { parts in
                """
                location /past-the-gateway/ {
                    include /etc/nginx/fastcgi_params;
                    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
                    fastcgi_pass unix:\(parts.pools["configured"]?.socketPath ?? "");
                }
                """
            }
        ) { parts in
            """
              default:
                \(parts.store)
                ignore: '^/static/'
                \(parts.adapter)
                \(parts.php("shared"))
              by-hand:
                sessions_of: default
                \(parts.php("shared"))
              neighbour:
                ignore: '^/'
                \(parts.php("shared"))
              named:
                \(parts.store)
                cookie: {name: SHOP}
                \(parts.adapter)
                \(parts.php("scenarios"))
              php-name:
                \(parts.store)
                cookie: {name: PHPSESSID}
                \(parts.adapter)
                \(parts.php("scenarios"))
              scenarios:
                \(parts.store)
                \(parts.adapter)
                \(parts.php("scenarios", connections: 4))
              unbuffered:
                \(parts.store)
                \(parts.adapter)
                \(parts.php("unbuffered", connections: 4))
              native:
                ignore: '^/'
                \(parts.php("native", connections: 4))
              automatic:
                \(parts.store)
                \(parts.adapter)
                \(parts.php("automatic"))
              locked:
                \(parts.store)
                \(parts.adapter)
                \(parts.php("locked"))
              configured:
                \(parts.store)
                \(parts.adapter)
                \(parts.php("configured"))
              prepending:
                \(parts.store)
                \(parts.adapter)
                \(parts.php("prepending"))
              prepending-without:
                ignore: '^/'
                \(parts.php("prepending"))
              progress:
                \(parts.store)
                \(parts.adapter)
                \(parts.php("progress"))
              turns:
                \(parts.store)
                concurrency: serialize
                lock_timeout: 20s
                \(parts.adapter)
                \(parts.php("turns", connections: 3))
              away:
                servers: ["127.0.0.1:9"]
                redundancy: 1
                when_unavailable: anonymous
                \(parts.adapter)
                \(parts.php("scenarios"))
              piped:
                \(parts.store)
                \(parts.adapter)
                \(parts.php("piped"))
            """
        }
    )
)
struct PHPAdapterTests {}
