// libfcgi (Debian's libfcgi-dev, 2.4.2).
#ifndef SESSION_GATEWAY_CFASTCGI_H
#define SESSION_GATEWAY_CFASTCGI_H

#include <fcgiapp.h>
#include <stddef.h>

// The responder sets `requestId`, `ipcFd`, `keepConnection` and `detached`, which fcgiapp.h marks as not to be used: a
// library with another layout must not compile.
_Static_assert(sizeof(void *) != 8 || sizeof(FCGX_Request) == 80, "size of FCGX_Request");
_Static_assert(sizeof(void *) != 8 || offsetof(FCGX_Request, requestId) == 0, "FCGX_Request.requestId");
_Static_assert(sizeof(void *) != 8 || offsetof(FCGX_Request, in) == 8, "FCGX_Request.in");
_Static_assert(sizeof(void *) != 8 || offsetof(FCGX_Request, out) == 16, "FCGX_Request.out");
_Static_assert(sizeof(void *) != 8 || offsetof(FCGX_Request, envp) == 32, "FCGX_Request.envp");
_Static_assert(sizeof(void *) != 8 || offsetof(FCGX_Request, ipcFd) == 48, "FCGX_Request.ipcFd");
_Static_assert(sizeof(void *) != 8 || offsetof(FCGX_Request, keepConnection) == 56, "FCGX_Request.keepConnection");
_Static_assert(sizeof(void *) != 8 || offsetof(FCGX_Request, detached) == 76, "FCGX_Request.detached");

#endif
