#include "crypto/engine.h"

/* Rows by what they need of the CPU; a gap is filled by the row above it. */
static const struct engine *const engines[ENGINE_TIERS][KEY_TYPES] = {
    [ENGINE_PORTABLE] =
        {[KEY_P256] = &p256_engine_portable, [KEY_ED25519] = &ed25519_engine_portable},
#if defined(__x86_64__)
    [ENGINE_IFMA] = {[KEY_P256] = &p256_engine_ifma, [KEY_ED25519] = &ed25519_engine_ifma},
#endif
};

const struct engine *engine_choose(enum engine_tier tier, enum public_key_type type)
{
    for (int i = (int)tier; i > ENGINE_REFERENCE; i--) {
        if (engines[i][type] != NULL) {
            return engines[i][type];
        }
    }
    return &reference_engines[type];
}
