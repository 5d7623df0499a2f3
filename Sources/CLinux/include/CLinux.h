// What `import Glibc` does not show: one header per subject.
#ifndef SESSION_GATEWAY_CLINUX_H
#define SESSION_GATEWAY_CLINUX_H

#include "sockets.h"
#include "processes.h"

#endif
