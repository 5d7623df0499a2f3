// zlib (Debian's zlib1g-dev, 1.2.13).
#ifndef SESSION_GATEWAY_CZLIB_H
#define SESSION_GATEWAY_CZLIB_H

#include <zlib.h>

#endif
