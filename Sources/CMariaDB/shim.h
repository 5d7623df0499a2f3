// MariaDB Connector/C (Debian's libmariadb-dev, 3.3).
#ifndef SESSION_GATEWAY_CMARIADB_H
#define SESSION_GATEWAY_CMARIADB_H

#include <mysql.h>
#include <mysqld_error.h>
#include <errmsg.h>

#endif
