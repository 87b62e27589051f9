#include "app/demo_keys.h"

#include "jose/jwk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum status demo_path(const char *folder, const char *name, char out[DEMO_PATH_MAX])
{
    int size = snprintf(out, DEMO_PATH_MAX, "%s/%s", folder, name);
    return size > 0 && size < DEMO_PATH_MAX ? STATUS_OK : STATUS_TOO_LARGE;
}

enum status demo_read_file(const char *path, char **text, char *error, size_t error_size)
{
    *text = NULL;
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        snprintf(error, error_size, "%s: cannot be opened: %m", path);
        return STATUS_SYSTEM;
    }
    char *bytes = calloc(1, DEMO_FILE_BYTES_MAX + 2);
    size_t size = bytes != NULL ? fread(bytes, 1, DEMO_FILE_BYTES_MAX + 1, file) : 0;
    bool broken = ferror(file) != 0;
    int saved = errno;
    fclose(file);
    if (bytes == NULL || broken || size > DEMO_FILE_BYTES_MAX) {
        errno = saved;
        if (broken) {
            snprintf(error, error_size, "%s: cannot be read: %m", path);
        } else {
            snprintf(error, error_size, "%s: cannot be read: %s", path,
                     bytes == NULL ? "out of memory" : "it is too large");
        }
        signing_text_free(bytes);
        return STATUS_SYSTEM;
    }
    *text = bytes;
    return STATUS_OK;
}

enum status demo_read_key(const char *path, struct signing_key **key, char *error,
                          size_t error_size)
{
    char *text = NULL;
    enum status status = demo_read_file(path, &text, error, error_size);
    if (status != STATUS_OK) {
        return status;
    }
    status = signing_key_read(span_from_string(text), key);
    signing_text_free(text);
    if (status == STATUS_UNSUPPORTED) {
        snprintf(error, error_size,
                 "%s: not a key that signs: P-256, P-384, P-521, Ed25519, or RSA of 2048 to 4096 "
                 "bits",
                 path);
    } else if (status != STATUS_OK) {
        snprintf(error, error_size,
                 "%s: holds no readable private key (-----BEGIN PRIVATE KEY-----, not encrypted)",
                 path);
    }
    return status;
}

enum status demo_write_file(const char *path, struct span text, unsigned mode, char *error,
                            size_t error_size)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    size_t written = 0;
    bool ok = descriptor >= 0;
    while (ok && written < text.size) {
        ssize_t size = write(descriptor, text.data + written, text.size - written);
        ok = size > 0 || (size < 0 && errno == EINTR);
        written += size > 0 ? (size_t)size : 0;
    }
    int saved = errno;
    if (descriptor >= 0 && close(descriptor) != 0 && ok) {
        ok = false;
        saved = errno;
    }
    if (!ok) {
        errno = saved;
        snprintf(error, error_size, "%s: cannot be written: %m", path);
        return STATUS_SYSTEM;
    }
    return STATUS_OK;
}

enum signature_algorithm demo_algorithm(const char *name, const struct signing_key *key,
                                        char *error, size_t error_size)
{
    if (name == NULL) {
        return signing_key_algorithm(key);
    }
    enum signature_algorithm algorithm = jwa_from_name(span_from_string(name));
    struct public_key public_key;
    signing_key_public(key, &public_key);
    if (algorithm == SIGNATURE_NONE) {
        snprintf(error, error_size,
                 "no algorithm '%s'; there are ES256, EdDSA, ES384, ES512, PS256, RS256", name);
        return SIGNATURE_NONE;
    }
    if (signature_key_type(algorithm) != public_key.type) {
        snprintf(error, error_size, "this key does not sign with %s but with %s", name,
                 jwa_name(signing_key_algorithm(key)));
        return SIGNATURE_NONE;
    }
    return algorithm;
}
