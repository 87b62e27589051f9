#include "app/config_example.h"

#include "app/config_schema.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct config_errors errors;

static char *example(size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    cr_assert_not_null(out);
    config_write_example(out);
    cr_assert_eq(fclose(out), 0);
    return text;
}

Test(config_example, it_loads_and_changes_nothing)
{
    size_t size = 0;
    char *text = example(&size);
    struct config *config = NULL, *plain = NULL;
    enum status status = config_parse(span_make(text, size), "example", &config, &errors);
    cr_assert_eq(status, STATUS_OK, "%s", errors.list[0].text);
    cr_assert_eq(config_parse(SPAN_LITERAL("issuers: [{issuer: a, audience: b, jwks_file: c}]"),
                              "f", &plain, &errors),
                 STATUS_OK);
    /* Key by key, by the table: the same bytes, strings by their text, lists by their length. */
    size_t compared = 0;
    for (size_t i = 0; i < config_keys_count; i++) {
        const struct config_key *key = &config_keys[i];
        const uint8_t *one = (const uint8_t *)config + key->offset;
        const uint8_t *other = (const uint8_t *)plain + key->offset;
        if (key->width == 0 || strchr(key->path, '[') != NULL) {
            continue;
        }
        compared++;
        if (key->type == CONFIG_STRING) {
            cr_assert_str_eq(*(const char *const *)one, *(const char *const *)other, "%s",
                             key->path);
        } else {
            cr_assert_eq(memcmp(one, other, key->width), 0, "%s", key->path);
        }
    }
    cr_assert_gt(compared, 35);
    cr_assert_str_eq(config->listen[0].text, plain->listen[0].text);
    cr_assert_str_eq(config->upstream.text, plain->upstream.text);
    cr_assert_str_eq(config->admin_listen.text, plain->admin_listen.text);
    cr_assert_eq(config->workers, plain->workers);
    cr_assert_eq(config->dpop.algorithms, plain->dpop.algorithms);
    cr_assert_eq(config->public_origins_count, 0);
    cr_assert_eq(config->policy_count, 0);
    cr_assert_eq(config->issuers_count, 1);
    config_free(config);
    config_free(plain);
    free(text);
}

/* The rule that is commented out is a good one, too. */
Test(config_example, its_policy_loads_when_uncommented)
{
    size_t size = 0;
    char *text = example(&size);
    char *policy = strstr(text, "\npolicy: []\n# policy:\n");
    cr_assert_not_null(policy);
    memcpy(policy, "\n#olicy", 7);
    size_t at = 0;
    char *uncommented = malloc(size + 1);
    for (const char *from = text; *from != '\0'; from++) {
        bool skip = from >= policy + 12 && from[0] == '#' && from[1] == ' ' && from[-1] == '\n';
        if (skip) {
            from++;
        } else {
            uncommented[at++] = *from;
        }
    }
    struct config *config = NULL;
    enum status status = config_parse(span_make(uncommented, at), "example", &config, &errors);
    cr_assert_eq(status, STATUS_OK, "%s", errors.list[0].text);
    cr_assert_eq(config->policy_count, 1);
    cr_assert(span_equal_string(config->policy[0].path, "/orders/"));
    cr_assert_eq(config->policy[0].methods_count, 2);
    config_free(config);
    free(uncommented);
    free(text);
}

Test(config_example, every_key_is_explained_in_it)
{
    size_t size = 0;
    char *text = example(&size);
    for (size_t i = 0; i < config_keys_count; i++) {
        const char *dot = strrchr(config_keys[i].path, '.');
        char line[128];
        (void)snprintf(line, sizeof line, "%s:", dot != NULL ? dot + 1 : config_keys[i].path);
        cr_assert_not_null(strstr(text, line), "%s", config_keys[i].path);
        cr_assert_gt(strlen(config_keys[i].help), 3, "%s", config_keys[i].path);
    }
    free(text);
}

Test(config_example, the_file_in_deploy_is_it)
{
    size_t size = 0;
    char *text = example(&size);
    FILE *file = fopen(POPGATE_TEST_DATA "/../../deploy/popgate.example.yaml", "rb");
    cr_assert_not_null(file);
    char *kept = calloc(1, size + 2);
    cr_assert_eq(fread(kept, 1, size + 1, file), size,
                 "make it anew: popgate validate --example > deploy/popgate.example.yaml");
    fclose(file);
    cr_assert_eq(memcmp(kept, text, size), 0,
                 "make it anew: popgate validate --example > deploy/popgate.example.yaml");
    free(kept);
    free(text);
}
