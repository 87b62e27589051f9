/* One scalar's text as a number, size or time; and back, for messages. Pure functions. */
#ifndef POPGATE_APP_CONFIG_VALUE_H
#define POPGATE_APP_CONFIG_VALUE_H

#include "base/span.h"
#include "base/status.h"

#include <netinet/in.h>
#include <stdint.h>

struct config_address;

enum config_unit { CONFIG_UNIT_NONE, CONFIG_UNIT_BYTES, CONFIG_UNIT_MILLISECONDS };

/* "B, KiB, MiB or GiB" and the like, for messages. */
const char *config_unit_names(enum config_unit unit);

enum config_number_fault {
    CONFIG_NUMBER_GOOD = 1,
    CONFIG_NUMBER_NOT_ONE,      /* no digits, a sign, a fraction, an exponent */
    CONFIG_NUMBER_NO_UNIT,      /* digits alone where a unit belongs */
    CONFIG_NUMBER_UNKNOWN_UNIT, /* digits and something else */
    CONFIG_NUMBER_TOO_LARGE,    /* over 64 bits */
};

/* Digits, and for the last two a unit right behind them; *number is in bytes or milliseconds. On
 * CONFIG_NUMBER_UNKNOWN_UNIT *unit_text is what stands there. */
enum config_number_fault config_read_number(struct span text, enum config_unit unit,
                                            uint64_t *number, struct span *unit_text);

/* "32KiB", "1500ms", "17": the largest unit that divides. */
struct config_number_text {
    char text[32];
};
struct config_number_text config_write_number(uint64_t number, enum config_unit unit);

/* "192.0.2.1:443", "[2001:db8::1]:443". No names, no zones; port 0 is allowed if `port_zero`. On
 * failure *reason is a static sentence: what is wrong; what to write. */
MUST_CHECK enum status config_read_address(struct span text, struct config_address *address,
                                           bool port_zero, const char **reason);
/* "/run/x.sock" */
MUST_CHECK enum status config_read_unix(struct span path, struct config_address *address,
                                        const char **reason);
bool config_address_is_loopback(const struct config_address *address);
/* 0 for a Unix socket. */
uint16_t config_address_port(const struct config_address *address);
/* Would one listener take the other's connections? Same port (not 0), and the same address or one
 * of them all. */
bool config_address_overlaps(const struct config_address *a, const struct config_address *b);

#endif
