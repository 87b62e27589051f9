#include "app/commands.h"

#include "unit/app/command_runner.h"
#include "unit/tls/driver.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

static char *folder;
static char demo[600];
static struct command_result result;

static void set_up(void)
{
    folder = test_folder_make();
    snprintf(demo, sizeof demo, "%s/demo", folder);
    RUN(command_demo_authority, &result, "demo-authority", demo);
    cr_assert(result.exit_code == 0, "%s", result.error);
}

static void tear_down(void)
{
    test_folder_remove(strdup(demo));
    test_folder_remove(folder);
}

TestSuite(validate, .init = set_up, .fini = tear_down);

static char file[700];

/* Writes demo/name from the parts; %s in them is the folder. */
static const char *write_file(const char *name, const char *format)
{
    snprintf(file, sizeof file, "%s/%s", demo, name);
    FILE *out = fopen(file, "w");
    cr_assert_not_null(out);
    for (const char *at = format; *at != '\0'; at++) {
        if (at[0] == '%' && at[1] == 's') {
            fputs(demo, out);
            at++;
        } else {
            fputc(*at, out);
        }
    }
    fclose(out);
    return file;
}

#define TLS                                                                                        \
    "tls:\n"                                                                                       \
    "  certificate: %s/server.crt\n"                                                               \
    "  private_key: %s/server.key\n"                                                               \
    "  client_ca: %s/ca.crt\n"
#define REST                                                                                       \
    "listen: 127.0.0.1:8443\n"                                                                     \
    "issuers: [{issuer: a, audience: b, jwks_file: %s/jwks.json}]\n"

static int validate(const char *yaml)
{
    RUN(command_validate, &result, "validate", "-c", write_file("test.yaml", yaml));
    return result.exit_code;
}

/* Exactly one line of error: FILE + `rest`, in which %s is the folder. */
static void says(const char *rest)
{
    char want[4000], filled[1500];
    size_t at = 0;
    for (const char *from = rest; *from != '\0'; from++) {
        if (from[0] == '%' && from[1] == 's') {
            at += (size_t)snprintf(filled + at, sizeof filled - at, "%s", demo);
            from++;
        } else {
            filled[at++] = *from;
        }
    }
    filled[at] = '\0';
    snprintf(want, sizeof want, "%s%s\n", file, filled);
    cr_assert_str_eq(result.error, want);
    cr_assert_eq(result.exit_code, 1);
    cr_assert_str_eq(result.out, "");
}

Test(validate, what_demo_authority_made_is_good)
{
    snprintf(file, sizeof file, "%s/popgate.yaml", demo);
    RUN(command_validate, &result, "validate", "-c", file);
    cr_assert_eq(result.exit_code, 0, "%s", result.error);
    cr_assert_str_eq(result.error, "");
    cr_assert_not_null(strstr(result.out, "popgate.yaml: good\n"));
}

Test(validate, it_opens_no_listener)
{
    /* The port is taken, and that is nobody's business here. */
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    cr_assert_eq(bind(descriptor, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(descriptor, 1), 0);
    cr_assert_eq(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
    char yaml[1000];
    snprintf(
        yaml, sizeof yaml,
        TLS "listen: 127.0.0.1:%d\nissuers: [{issuer: a, audience: b, jwks_file: %%s/jwks.json}]\n",
        "%s", "%s", "%s", ntohs(address.sin_port));
    cr_assert_eq(validate(yaml), 0, "%s", result.error);
    close(descriptor);
}

Test(validate, files_that_are_not_there_are_named_at_their_key)
{
    validate("tls:\n  certificate: /nonexistent/tls.crt\n  private_key: %s/server.key\n  "
             "client_ca: %s/ca.crt\n" REST);
    says(":2:16: tls.certificate: /nonexistent/tls.crt: cannot be opened: No such file or "
         "directory");
    validate("tls:\n  certificate: %s/server.crt\n  private_key: /nonexistent/key\n  client_ca: "
             "%s/ca.crt\n" REST);
    says(":3:16: tls.private_key: /nonexistent/key: cannot be opened: No such file or directory");
    validate("tls:\n  certificate: %s/server.crt\n  private_key: %s/server.key\n  client_ca: "
             "/nonexistent/ca\n" REST);
    says(":4:14: tls.client_ca: /nonexistent/ca: cannot be opened: No such file or directory");
    validate(TLS "  client_crl: /nonexistent/crl\n" REST);
    says(":5:15: tls.client_crl: /nonexistent/crl: cannot be opened: No such file or directory");
    validate(TLS "listen: 127.0.0.1:8443\nissuers:\n  - issuer: a\n    audience: b\n    jwks_file: "
                 "/nonexistent/jwks\n");
    says(":9:16: issuers[0].jwks_file: /nonexistent/jwks: No such file or directory");
}

/* A default that does not exist is named at the nearest place the file has. */
Test(validate, defaults_that_are_not_there)
{
    validate("tls:\n  private_key: %s/server.key\n  client_ca: %s/ca.crt\n" REST);
    says(
        ":2:3: tls.certificate: /etc/popgate/tls.crt: cannot be opened: No such file or directory");
}

Test(validate, everything_wrong_is_said_at_once)
{
    validate("tls: {certificate: /nonexistent/tls.crt}\nlisten: 127.0.0.1:8443\nissuers:\n"
             "  - {issuer: a, audience: b, jwks_file: /nonexistent/1}\n"
             "  - {issuer: b, audience: b, jwks_file: /nonexistent/2}\n");
    cr_assert_eq(result.exit_code, 1);
    cr_assert_not_null(strstr(result.error, ":1:20: tls.certificate: "));
    cr_assert_not_null(strstr(result.error, ":4:41: issuers[0].jwks_file: "));
    cr_assert_not_null(strstr(result.error, ":5:41: issuers[1].jwks_file: "));
}

Test(validate, files_that_are_something_else)
{
    write_file("empty", "");
    write_file("broken.json", "{\"keys\": [}");
    validate("tls:\n  certificate: %s/empty\n  private_key: %s/server.key\n  client_ca: "
             "%s/ca.crt\n" REST);
    cr_assert_eq(result.exit_code, 1);
    cr_assert_not_null(strstr(result.error, "test.yaml:2:16: tls.certificate: "), "%s",
                       result.error);
    /* The key of another certificate. */
    validate("tls:\n  certificate: %s/server.crt\n  private_key: %s/client-a.key\n  client_ca: "
             "%s/ca.crt\n" REST);
    cr_assert_eq(result.exit_code, 1);
    cr_assert_not_null(strstr(result.error, "test.yaml:3:16: tls.private_key: "), "%s",
                       result.error);
    cr_assert_not_null(strstr(result.error, "is not the key of the certificate"), "%s",
                       result.error);
    validate(
        TLS
        "listen: 127.0.0.1:8443\nissuers: [{issuer: a, audience: b, jwks_file: %s/broken.json}]\n");
    cr_assert_eq(result.exit_code, 1);
    cr_assert_not_null(strstr(result.error, "test.yaml:6:47: issuers[0].jwks_file: "), "%s",
                       result.error);
    /* A private key where a certificate belongs, and a folder where a file does. */
    validate(
        "tls:\n  certificate: %s\n  private_key: %s/server.key\n  client_ca: %s/ca.crt\n" REST);
    cr_assert_eq(result.exit_code, 1);
    cr_assert_not_null(strstr(result.error, "test.yaml:2:16: tls.certificate: "), "%s",
                       result.error);
}

/* Someone published a secret: the set is refused, with the reason. */
Test(validate, a_jwks_with_a_private_key)
{
    write_file("private.json", "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
                               "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
                               "\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}]}");
    validate(TLS "listen: 127.0.0.1:8443\nissuers: [{issuer: a, audience: b, jwks_file: "
                 "%s/private.json}]\n");
    cr_assert_eq(result.exit_code, 1);
    cr_assert_not_null(strstr(result.error, "private"), "%s", result.error);
    cr_assert_null(strstr(result.error, "nWGxne"));
}

Test(validate, errors_of_the_file_itself)
{
    validate("listen: x\nworkers: 0\n");
    cr_assert_eq(result.exit_code, 1);
    char want[4000];
    snprintf(want, sizeof want,
             "%s:1:1: issuers: no issuer is trusted, so no token could pass; list one, or write "
             "dpop.mode: off for mutual TLS alone\n"
             "%s:1:9: listen[0]: \"x\": an IP address and a port are needed; write 0.0.0.0:8443 or "
             "[::]:8443\n"
             "%s:2:10: workers: \"0\" is not a number of workers; write auto, or 1 to 256\n",
             file, file, file);
    cr_assert_str_eq(result.error, want);
}

Test(validate, the_demo_authority_stays_on_loopback)
{
#define OPEN_LISTENER                                                                              \
    "issuers: [{issuer: a, audience: b, jwks_file: %s/jwks.json}]\nlisten:\n  - 127.0.0.1:8443\n " \
    " - 0.0.0.0:9443\n"
    validate(TLS OPEN_LISTENER);
    says(
        ":8:5: listen[1]: 0.0.0.0:9443 is not loopback, and tls.client_ca is the demo authority's, "
        "whose keys are for trying out; use your own CA, or --allow-demo");
    RUN(command_validate, &result, "validate", "--allow-demo", "-c", file);
    cr_assert_eq(result.exit_code, 0, "%s", result.error);
}

Test(validate, a_user_that_is_not_there)
{
    validate(TLS REST "user: no-such-user-here\n");
    says(":7:7: user: this machine has no user no-such-user-here");
    cr_assert_eq(validate(TLS REST "user: nobody\n"), 0, "%s", result.error);
}

Test(validate, usage)
{
    RUN(command_validate, &result, "validate");
    cr_assert_eq(result.exit_code, 2);
    cr_assert_not_null(strstr(result.error, "-c FILE is missing"));
    RUN(command_validate, &result, "validate", "-c");
    cr_assert_eq(result.exit_code, 2);
    RUN(command_validate, &result, "validate", "x.yaml");
    cr_assert_eq(result.exit_code, 2);
    RUN(command_validate, &result, "validate", "--help");
    cr_assert_eq(result.exit_code, 0);
    cr_assert_eq(strncmp(result.out, "usage: popgate validate ", 24), 0);
    RUN(command_validate, &result, "validate", "--example");
    cr_assert_eq(result.exit_code, 0);
    cr_assert_eq(strncmp(result.out, "# popgate.yaml: ", 16), 0);
    RUN(command_validate, &result, "validate", "-c", "/nonexistent.yaml");
    cr_assert_eq(result.exit_code, 1);
    cr_assert_str_eq(result.error,
                     "/nonexistent.yaml:1:1: cannot be read: No such file or directory\n");
}
