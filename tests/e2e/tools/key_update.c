/* A TLS client that asks for new keys over and over, which neither Python's ssl nor openssl
 * s_client can:
 *
 *   key_update PORT CERTIFICATE KEY flood COUNT      KeyUpdates and nothing else
 *   key_update PORT CERTIFICATE KEY between COUNT    one before each byte of what stdin holds, and
 * over again until COUNT were sent
 *
 * Prints "sent N", then, for `between`, what the peer answered. Sends to 127.0.0.1 and believes any
 * server certificate: it is the attacker. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_loopback(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 20};
    if (descriptor < 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(descriptor, (const struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        exit(2);
    }
    return descriptor;
}

static SSL *open_tls(char **arguments)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (!SSL_CTX_use_certificate_chain_file(context, arguments[2]) ||
        !SSL_CTX_use_PrivateKey_file(context, arguments[3], SSL_FILETYPE_PEM)) {
        fprintf(stderr, "the certificate or its key cannot be read\n");
        exit(2);
    }
    SSL *ssl = SSL_new(context);
    SSL_set_tlsext_host_name(ssl, "orders.example.com");
    SSL_set_fd(ssl, connect_loopback(arguments[1]));
    if (SSL_connect(ssl) != 1) {
        fprintf(stderr, "no handshake\n");
        exit(2);
    }
    return ssl;
}

/* Every second one asks the peer to change its keys as well. */
static int key_update(SSL *ssl, long number)
{
    return SSL_key_update(ssl, number % 2 != 0 ? SSL_KEY_UPDATE_REQUESTED
                                               : SSL_KEY_UPDATE_NOT_REQUESTED);
}

static long flood(SSL *ssl, long count)
{
    for (long sent = 0; sent < count; sent++) {
        /* Writing nothing sends the KeyUpdate, and nothing else. */
        if (!key_update(ssl, sent) || SSL_write(ssl, NULL, 0) < 0) {
            return sent;
        }
    }
    return count;
}

static long between(SSL *ssl, long count, const char *text, size_t size)
{
    for (long sent = 0; sent < count; sent++) {
        if (!key_update(ssl, sent) || SSL_write(ssl, text + (size_t)sent % size, 1) != 1) {
            return sent;
        }
    }
    return count;
}

int main(int count, char **arguments)
{
    static char text[1 << 16];
    if (count != 6) {
        fprintf(stderr, "usage: key_update PORT CERTIFICATE KEY flood|between COUNT\n");
        return 2;
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    SSL *ssl = open_tls(arguments);
    long updates = strtol(arguments[5], NULL, 10);
    if (strcmp(arguments[4], "flood") == 0) {
        printf("sent %ld\n", flood(ssl, updates));
    } else {
        size_t size = fread(text, 1, sizeof text, stdin);
        printf("sent %ld\n", size > 0 ? between(ssl, updates, text, size) : 0);
    }
    int got;
    while ((got = SSL_read(ssl, text, sizeof text)) > 0) {
        fwrite(text, 1, (size_t)got, stdout);
    }
    return 0;
}
