#include "tls/chain.h"

#include "unit/tls/certificates.h"

#include <criterion/criterion.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <time.h>

static struct test_certificate ca;
static struct trust *trust;
static int64_t now_s;

static struct trust *make_trust(X509 *anchor, X509_CRL *crl)
{
    STACK_OF(X509) *cas = sk_X509_new_null();
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    sk_X509_push(cas, anchor);
    if (crl != NULL) {
        sk_X509_CRL_push(crls, crl);
    }
    struct trust_options options = {.cas = cas, .crls = crls, .purpose = X509_PURPOSE_SSL_CLIENT};
    struct trust *made = trust_new(&options);
    sk_X509_free(cas);
    sk_X509_CRL_free(crls);
    cr_assert(made != NULL);
    return made;
}

static void set_up(void)
{
    ca = test_ca_make("test CA");
    trust = make_trust(ca.x509, NULL);
    now_s = time(NULL);
}

static void tear_down(void)
{
    trust_free(trust);
    test_certificate_free(&ca);
}

TestSuite(chain, .init = set_up, .fini = tear_down);

static STACK_OF(CRYPTO_BUFFER) * encode(X509 *const *certificates)
{
    STACK_OF(CRYPTO_BUFFER) *list = sk_CRYPTO_BUFFER_new_null();
    for (; *certificates != NULL; certificates++) {
        uint8_t *der = NULL;
        int size = i2d_X509(*certificates, &der);
        sk_CRYPTO_BUFFER_push(list, CRYPTO_BUFFER_new(der, (size_t)size, NULL));
        OPENSSL_free(der);
    }
    return list;
}

static const char *failure;
static uint8_t alert;

static struct verified_chain *verify(struct trust *by, X509 *const *certificates)
{
    STACK_OF(CRYPTO_BUFFER) *list = encode(certificates);
    struct verified_chain *chain = NULL;
    failure = "";
    enum status status = trust_verify(by, list, NULL, now_s, &chain, &failure, &alert);
    cr_expect((status == STATUS_OK) == (chain != NULL));
    sk_CRYPTO_BUFFER_pop_free(list, CRYPTO_BUFFER_free);
    return chain;
}

static void expect_counters(uint64_t hits, uint64_t misses)
{
    uint64_t got_hits = 0, got_misses = 0;
    trust_counters(trust, &got_hits, &got_misses);
    cr_expect(got_hits == hits && got_misses == misses, "%llu hits, %llu misses",
              (unsigned long long)got_hits, (unsigned long long)got_misses);
}

Test(chain, is_remembered_as_sent)
{
    struct test_certificate client = test_client_make(&ca, "spiffe://example.org/a");
    struct verified_chain *one = verify(trust, (X509 *[]){client.x509, NULL});
    struct verified_chain *two = verify(trust, (X509 *[]){client.x509, NULL});
    cr_expect(one != NULL && one == two);
    expect_counters(1, 1);
    /* With the CA sent along it is another chain. */
    struct verified_chain *three = verify(trust, (X509 *[]){client.x509, ca.x509, NULL});
    cr_expect(three != NULL && three != one && three->count == 2);
    expect_counters(1, 2);
    verified_chain_release(one);
    verified_chain_release(two);
    verified_chain_release(three);
    verified_chain_release(NULL);
    test_certificate_free(&client);
}

Test(chain, refusals_are_not_remembered)
{
    struct test_certificate other_ca = test_ca_make("other");
    struct test_certificate client = test_client_make(&other_ca, "spiffe://example.org/a");
    cr_expect(verify(trust, (X509 *[]){client.x509, NULL}) == NULL);
    cr_expect(verify(trust, (X509 *[]){client.x509, NULL}) == NULL);
    expect_counters(0, 2);
    test_certificate_free(&client);
    test_certificate_free(&other_ca);
}

Test(chain, a_flood_of_clients_evicts_but_never_confuses)
{
    enum { CLIENTS = TLS_VERIFIED_CHAINS_MAX + 200 };
    struct verified_chain **chains = calloc(CLIENTS, sizeof *chains);
    for (int i = 0; i < CLIENTS; i++) {
        char id[64];
        snprintf(id, sizeof id, "spiffe://example.org/%d", i);
        struct test_certificate client = test_client_make(&ca, id);
        chains[i] = verify(trust, (X509 *[]){client.x509, NULL});
        cr_assert(chains[i] != NULL);
        cr_expect(span_equal_string(chains[i]->peer.spiffe_id, id));
        test_certificate_free(&client);
    }
    /* What was evicted lives on for whoever holds it. */
    for (int i = 0; i < CLIENTS; i++) {
        char id[64];
        snprintf(id, sizeof id, "spiffe://example.org/%d", i);
        cr_expect(span_equal_string(chains[i]->peer.spiffe_id, id));
        verified_chain_release(chains[i]);
    }
    free(chains);
}

Test(chain, its_window_is_the_narrowest_of_all_it_stands_on)
{
    struct test_certificate_options options = {.common_name = "intermediate",
                                               .issuer = &ca,
                                               .is_ca = true,
                                               .key_usage = "keyCertSign,cRLSign",
                                               .from_s = -30,
                                               .until_s = 500};
    struct test_certificate intermediate = test_certificate_make(&options);
    struct test_certificate client = test_client_make(&intermediate, "spiffe://example.org/a");
    struct verified_chain *chain = verify(trust, (X509 *[]){client.x509, intermediate.x509, NULL});
    cr_assert(chain != NULL, "%s", failure);
    cr_expect(chain->valid_until_s - now_s > 490 && chain->valid_until_s - now_s <= 500);
    cr_expect(now_s - chain->valid_from_s >= 29 && now_s - chain->valid_from_s <= 40);
    verified_chain_release(chain);
    /* The intermediate runs out first, though the leaf is good for a day. */
    now_s += 501;
    cr_expect(verify(trust, (X509 *[]){client.x509, intermediate.x509, NULL}) == NULL);
    cr_expect(strstr(failure, "expired") != NULL);
    test_certificate_free(&client);
    test_certificate_free(&intermediate);
}

Test(chain, an_intermediate_may_be_the_anchor_and_then_the_root_is_not_asked)
{
    struct test_certificate_options options = {.common_name = "intermediate",
                                               .issuer = &ca,
                                               .is_ca = true,
                                               .key_usage = "keyCertSign,cRLSign"};
    struct test_certificate intermediate = test_certificate_make(&options);
    struct test_certificate client = test_client_make(&intermediate, "spiffe://example.org/a");
    struct test_certificate sibling = test_client_make(&ca, "spiffe://example.org/b");
    struct trust *narrow = make_trust(intermediate.x509, NULL);
    struct verified_chain *chain = verify(narrow, (X509 *[]){client.x509, NULL});
    cr_expect(chain != NULL, "%s", failure);
    verified_chain_release(chain);
    cr_expect(verify(narrow, (X509 *[]){sibling.x509, NULL}) == NULL);
    cr_expect(verify(narrow, (X509 *[]){sibling.x509, ca.x509, NULL}) == NULL);
    trust_free(narrow);
    test_certificate_free(&client);
    test_certificate_free(&sibling);
    test_certificate_free(&intermediate);
}

Test(chain, a_crl_of_another_CA_covers_nobody)
{
    struct test_certificate other = test_ca_make("other");
    struct test_certificate client = test_client_make(&ca, "spiffe://example.org/a");
    X509_CRL *crl = test_crl_make(&other, NULL, -60, 3600);
    struct trust *strict = make_trust(ca.x509, crl);
    cr_expect(verify(strict, (X509 *[]){client.x509, NULL}) == NULL);
    cr_expect(strstr(failure, "no CRL covers") != NULL, "%s", failure);
    trust_free(strict);
    X509_CRL_free(crl);
    test_certificate_free(&client);
    test_certificate_free(&other);
}

Test(chain, a_crl_signed_by_somebody_else_covers_nobody)
{
    struct test_certificate impostor = test_ca_make("test CA");
    struct test_certificate client = test_client_make(&ca, "spiffe://example.org/a");
    X509_CRL *crl = test_crl_make(&impostor, NULL, -60, 3600);
    struct trust *strict = make_trust(ca.x509, crl);
    cr_expect(verify(strict, (X509 *[]){client.x509, NULL}) == NULL);
    trust_free(strict);
    X509_CRL_free(crl);
    test_certificate_free(&client);
    test_certificate_free(&impostor);
}

Test(chain, bounds_what_is_sent)
{
    struct test_certificate client = test_client_make(&ca, "spiffe://example.org/a");
    X509 *many[TLS_CHAIN_CERTIFICATES_MAX + 2] = {client.x509};
    for (int i = 1; i <= TLS_CHAIN_CERTIFICATES_MAX; i++) {
        many[i] = ca.x509;
    }
    cr_expect(verify(trust, many) == NULL);
    cr_expect(strstr(failure, "too long") != NULL);
    many[TLS_CHAIN_CERTIFICATES_MAX] = NULL;
    struct verified_chain *chain = verify(trust, many);
    cr_expect(chain != NULL, "%s", failure);
    verified_chain_release(chain);
    cr_expect(verify(trust, (X509 *[]){NULL}) == NULL);
    cr_expect(alert == SSL_AD_CERTIFICATE_REQUIRED);
    test_certificate_free(&client);
}

Test(chain, bounds_the_depth)
{
    struct test_certificate list[TLS_CHAIN_DEPTH_MAX + 2] = {ca};
    X509 *sent[TLS_CHAIN_DEPTH_MAX + 3] = {NULL};
    int depth = TLS_CHAIN_DEPTH_MAX + 1;
    for (int i = 1; i <= depth; i++) {
        struct test_certificate_options options = {
            .common_name = "CA", .issuer = &list[i - 1], .is_ca = true, .key_usage = "keyCertSign"};
        char name[16];
        snprintf(name, sizeof name, "CA %d", i);
        options.common_name = name;
        list[i] = test_certificate_make(&options);
    }
    struct test_certificate client = test_client_make(&list[depth], "spiffe://example.org/a");
    sent[0] = client.x509;
    for (int i = 0; i < depth; i++) {
        sent[1 + i] = list[depth - i].x509;
    }
    cr_expect(verify(trust, sent) == NULL);
    test_certificate_free(&client);
    for (int i = 1; i <= depth; i++) {
        test_certificate_free(&list[i]);
    }
}

Test(chain, what_is_no_certificate_is_refused)
{
    STACK_OF(CRYPTO_BUFFER) *list = sk_CRYPTO_BUFFER_new_null();
    sk_CRYPTO_BUFFER_push(list, CRYPTO_BUFFER_new((const uint8_t *)"\x30\x00", 2, NULL));
    struct verified_chain *chain = NULL;
    cr_expect(trust_verify(trust, list, NULL, now_s, &chain, &failure, &alert) == STATUS_DENIED);
    cr_expect(strstr(failure, "malformed") != NULL && alert == SSL_AD_BAD_CERTIFICATE);
    sk_CRYPTO_BUFFER_pop_free(list, CRYPTO_BUFFER_free);
}

Test(chain, is_verified_again_by_another_trust)
{
    struct test_certificate client = test_client_make(&ca, "spiffe://example.org/a");
    struct verified_chain *chain = verify(trust, (X509 *[]){client.x509, NULL});
    struct trust *same = make_trust(ca.x509, NULL);
    cr_expect(trust_reverify(same, chain, now_s, &failure) == STATUS_OK);
    X509_CRL *crl = test_crl_make(&ca, client.x509, -60, 3600);
    struct trust *revoking = make_trust(ca.x509, crl);
    cr_expect(trust_reverify(revoking, chain, now_s, &failure) == STATUS_DENIED);
    cr_expect(strstr(failure, "revoked") != NULL);
    trust_free(same);
    trust_free(revoking);
    X509_CRL_free(crl);
    verified_chain_release(chain);
    test_certificate_free(&client);
}
