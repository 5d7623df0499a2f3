// hiredis (Debian's libhiredis-dev, 0.14).
#ifndef SESSION_GATEWAY_CREDIS_H
#define SESSION_GATEWAY_CREDIS_H

#include <sys/time.h>
#include <hiredis/hiredis.h>

#endif
