// libpq (Debian's libpq-dev, 15).
#ifndef SESSION_GATEWAY_CPOSTGRESQL_H
#define SESSION_GATEWAY_CPOSTGRESQL_H

#include <libpq-fe.h>

#endif
