#include "app/version.h"

#include "crypto/verify.h"
#include "io/io.h"
#include "tls/context.h"

static const char *backend_here(void)
{
    struct io *io = NULL;
    struct io_options options = {.backend = IO_AUTO};
    if (io_new(&options, &io) != STATUS_OK) {
        return "none";
    }
    const char *name = io_backend_name(io_backend_of(io));
    io_free(io);
    return name;
}

void version_print(FILE *out)
{
    struct verifier_options options = {.key_memory_bytes = 1024 * 1024};
    struct verifier *verifier = verifier_new(&options);
    fprintf(out, "popgate %s\n", POPGATE_VERSION);
    fprintf(out, "BoringSSL: %s\n", tls_library_version());
    fprintf(out, "io: %s\n", backend_here());
    fprintf(out, "crypto: %s\n", verifier != NULL ? verifier_implementation(verifier) : "none");
    verifier_free(verifier);
}
