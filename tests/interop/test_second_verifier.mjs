// A second opinion: express-oauth2-jwt-bearer decides the same credentials as the gate, some thousands of them, mutated by a
// seeded generator. Where the two differ, EXPLAINED says which is stricter and why; any other difference fails. What the gate
// accepts and the other refuses would be a hole, unless explained.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { auth } from 'express-oauth2-jwt-bearer'
import * as jose from 'jose'
import { BACKENDS, Gate, ORIGIN, startService } from './harness.mjs'

const ISSUER = 'https://as.example.com'
const PATH = '/orders/7'
const PROOFS = 1600
const TOKENS = 900

// ---- the generator ----

/** mulberry32: the same mutations every time. */
function random(seed) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const below = (n) => Math.floor(next() * n)
  return { below, pick: (list) => list[below(list.length)], chance: (p) => next() < p }
}

const b64 = (data) => Buffer.from(data).toString('base64url')
const hash = (text) => b64(crypto.createHash('sha256').update(text).digest())
const now = () => Math.floor(Date.now() / 1000)

class Signer {
  static async make(alg = 'ES256') {
    const { privateKey, publicKey } = await jose.generateKeyPair(alg, { extractable: true })
    const signer = new Signer()
    signer.privateKey = privateKey
    signer.jwk = await jose.exportJWK(publicKey)
    signer.privateJwk = await jose.exportJWK(privateKey)
    signer.thumbprint = await jose.calculateJwkThumbprint(signer.jwk)
    signer.node = crypto.createPrivateKey({ key: signer.privateJwk, format: 'jwk' })
    return signer
  }

  /** As jose does it, where jose is willing. */
  honest = (header, payload) => new jose.CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader(header).sign(this.privateKey)

  /** Whatever the texts say: what jose would never sign. */
  hostile(headerText, payloadText) {
    const input = `${b64(headerText)}.${b64(payloadText)}`
    return `${input}.${b64(crypto.sign('sha256', input, { key: this.node, dsaEncoding: 'ieee-p1363' }))}`
  }
}

const VALUES = [null, true, false, 0, 1, -1, '', ' ', [], {}, 'x', 1.5, 9007199254740991, ['x'], { x: 1 }]
const IATS = [-86400, -3600, -120, -70, -60, -30, -5, 0, 3, 9, 60, 3600, 86400]
const HTUS = [ORIGIN + '/orders/7/', ORIGIN + '/Orders/7', ORIGIN + '//orders/7', ORIGIN + '/orders//7', ORIGIN + '/orders%2f7',
  ORIGIN + ':8443/orders/7', ORIGIN + ':443/orders/7', ORIGIN + '/orders/7?a=b', ORIGIN + '/orders/7#x', ORIGIN + '/%6frders/7',
  ORIGIN + '/x/../orders/7', ORIGIN + '/./orders/7', 'HTTPS://ORDERS.EXAMPLE.COM/orders/7', 'http://orders.example.com/orders/7',
  'https://a@orders.example.com/orders/7', 'https://orders.example.com./orders/7', 'https://evil.example/orders/7', '/orders/7',
  'https://[::1]/orders/7', ORIGIN, ORIGIN + '/orders/77', ' ' + ORIGIN + PATH, ORIGIN + PATH + ' ', ORIGIN + PATH + '\n',
  'https:\\\\orders.example.com\\orders\\7', 'https:orders.example.com/orders/7', ORIGIN + '/orders/7%00', ORIGIN + '/orders/%37',
  'https://orders.example.com:/orders/7', ORIGIN + '/orders/%2e/7', ORIGIN + '/orders/7;x', 'https://ORDERS.example.com:0443/orders/7',
  'https://orders.ex\tample.com/orders/7', ORIGIN + '/orders/7%', ORIGIN + '/orders\\7', 'https:///orders.example.com/orders/7',
  'https://orders%2eexample.com/orders/7']
const HTMS = ['GET', 'get', 'Get', 'POST', 'GET ', ' GET', 'HEAD', 'G']

/** [label, change] of one proof; a change edits `c`, the case. */
const PROOF_CHANGES = [
  ...['jti', 'htm', 'htu', 'iat', 'ath'].map((name) => [`no ${name}`, (c) => { delete c.payload[name] }]),
  ...['typ', 'alg', 'jwk'].map((name) => [`no ${name}`, (c) => { delete c.header[name] }]),
  ...['jti', 'htm', 'htu', 'iat', 'ath'].map((name) => [`${name} of another type`, (c, r) => { c.payload[name] = r.pick(VALUES) }]),
  ...['typ', 'alg', 'jwk'].map((name) => [`${name} of another type`, (c, r) => { c.header[name] = r.pick(VALUES) }]),
  ['iat moved', (c, r) => { c.payload.iat += r.pick(IATS) }],
  ['htu respelt', (c, r) => { c.payload.htu = r.pick(HTUS) }],
  ['htm respelt', (c, r) => { c.payload.htm = r.pick(HTMS) }],
  ['ath of another', (c, r) => { c.payload.ath = r.pick([hash('x'), c.payload.ath + '=', c.payload.ath.toUpperCase(), 'x']) }],
  ['jti long', (c, r) => { c.payload.jti = crypto.randomUUID().padEnd(r.pick([100, 255, 256, 257, 1000]), 'j') }],
  ['typ respelt', (c, r) => { c.header.typ = r.pick(['JWT', 'at+jwt', 'DPoP+JWT', 'application/dpop+jwt', 'dpop+jwt ', 'dpop']) }],
  ['alg respelt', (c, r) => { c.header.alg = r.pick(['none', 'None', 'HS256', 'RS256', 'ES384', 'EdDSA', 'es256', 'ES256K', 'PS256']) }],
  ['crit', (c, r) => { c.header.crit = r.pick([['exp'], ['b64'], [], 'b64', null]); c.header.exp = 1 }],
  ['b64', (c, r) => { c.header.b64 = r.pick([true, false]) }],
  ['a private key', (c) => { c.header.jwk = c.key.privateJwk }],
  ['a symmetric key', (c) => { c.header.jwk = { kty: 'oct', k: b64('secret') } }],
  ['another key', (c) => { c.header.jwk = c.other.jwk }],
  ['signed by another', (c) => { c.signer = c.other }],
  ['another key altogether', (c) => { c.header.jwk = c.other.jwk; c.signer = c.other }],
  ['jwk bent', (c, r) => {
    const name = r.pick(['x', 'y'])
    const value = c.key.jwk[name]
    c.header.jwk = { ...c.key.jwk, [name]: r.pick([value.slice(1), 'A' + value, value + '=', '', b64(Buffer.alloc(32)), b64(Buffer.alloc(32, 255)),
      value.slice(0, -1) + 'B', ' ' + value, value.slice(0, 5) + '+' + value.slice(6)]) }
  }],
  ['jwk with more', (c, r) => { c.header.jwk = { ...c.key.jwk, ...r.pick([{ kid: 'x' }, { alg: 'ES256' }, { use: 'sig' }, { ext: true },
    { alg: 'ES384' }, { use: 'enc' }, { key_ops: ['verify'] }, { key_ops: ['sign'] }, { crv: 'P-384' }, { kty: 'OKP' }]) } }],
  ['more members', (c) => { c.header.kid = 'x'; c.payload.more = { a: [1, null] } }],
  ['nbf and exp', (c, r) => { c.payload[r.pick(['nbf', 'exp'])] = now() + r.pick([-3600, 3600]) }],
  ['aud and iss', (c) => { c.payload.aud = 'x'; c.payload.iss = 'y' }],
  ['a member twice', (c, r) => { c.payloadText = (text) => `{"${r.pick(['htm', 'jti', 'x'])}":"POST",${text.slice(1)}` }],
  ['a header member twice', (c) => { c.headerText = (text) => `{"alg":"ES256",${text.slice(1)}` }],
  ['JSON with white space', (c) => { c.payloadText = (text) => ` ${text.replace(/,/g, ' ,\t')}\n` }],
  ['JSON cut', (c, r) => { c.payloadText = (text) => text.slice(0, r.below(text.length)) }],
  ['JSON with junk behind', (c) => { c.payloadText = (text) => `${text}x` }],
  ['JSON an array', (c) => { c.payloadText = () => '[]' }],
  ['a bit of the signature', (c, r) => { c.text = (text) => flip(text, text.lastIndexOf('.') + 1 + r.below(84)) }],
  ['a character flipped', (c, r) => { c.text = (text) => flip(text, r.below(text.length)) }],
  ['a character inserted', (c, r) => { const sign = r.pick(['=', '.', '+', '/', 'A', '-', '~', '%']); c.text = (text) => {
    const at = r.below(text.length + 1); return text.slice(0, at) + sign + text.slice(at) } }],
  ['a character deleted', (c, r) => { c.text = (text) => { const at = r.below(text.length); return text.slice(0, at) + text.slice(at + 1) } }],
  ['cut', (c, r) => { c.text = (text) => text.slice(0, 1 + r.below(text.length - 1)) }],
  ['the signature in zeros', (c) => { c.text = (text) => `${text.slice(0, text.lastIndexOf('.'))}.${b64(Buffer.alloc(64))}` }],
  ['the signature of n', (c) => { c.text = (text) => `${text.slice(0, text.lastIndexOf('.'))}.${b64(Buffer.alloc(64, 255))}` }],
  ['the signature in DER', (c) => { c.text = (text) => {
    const input = text.slice(0, text.lastIndexOf('.')); return `${input}.${b64(crypto.sign('sha256', input, c.key.node))}` } }],
  ['no signature', (c) => { c.text = (text) => text.slice(0, text.lastIndexOf('.') + 1) }],
  ['two of them', (c) => { c.text = (text) => `${text}, ${text}` }],
  ['s negated', (c) => { c.text = negated }],
]

function flip(text, at) {
  const from = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const next = from[(from.indexOf(text[at]) + 1 + (at % 62)) % 64]
  return text[at] === '.' ? text.slice(0, at) + text.slice(at + 1) : text.slice(0, at) + (next === text[at] ? 'A' : next) + text.slice(at + 1)
}

function negated(text) {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const raw = Buffer.from(text.slice(text.lastIndexOf('.') + 1), 'base64url')
  const s = n - BigInt(`0x${raw.subarray(32).toString('hex')}`)
  return `${text.slice(0, text.lastIndexOf('.'))}.${b64(Buffer.concat([raw.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]))}`
}

const TOKEN_CHANGES = [
  ...['iss', 'aud', 'exp', 'sub', 'client_id', 'iat', 'jti', 'scope', 'cnf'].map((name) => [`token: no ${name}`, (c) => { delete c.payload[name] }]),
  ...['typ', 'alg', 'kid'].map((name) => [`token: no ${name}`, (c) => { delete c.header[name] }]),
  ...['iss', 'aud', 'exp', 'sub', 'client_id', 'iat', 'nbf', 'cnf', 'scope'].map((name) =>
    [`token: ${name} of another type`, (c, r) => { c.payload[name] = r.pick(VALUES) }]),
  ...['typ', 'alg', 'kid'].map((name) => [`token: ${name} of another type`, (c, r) => { c.header[name] = r.pick(VALUES) }]),
  ['token: exp moved', (c, r) => { c.payload.exp = now() + r.pick([-3600, -60, -10, 30, 3600]) }],
  ['token: exp just past', (c, r) => { c.payload.exp = now() - r.pick([1, 2]) }],
  ['token: nbf moved', (c, r) => { c.payload.nbf = now() + r.pick([-3600, -5, 60, 3600]) }],
  ['token: iat moved', (c, r) => { c.payload.iat = now() + r.pick([-3600, -60, 60, 3600]) }],
  ['token: other issuer', (c, r) => { c.payload.iss = r.pick(['https://evil.example', ISSUER + '/', ISSUER.toUpperCase(), 'as.example.com']) }],
  ['token: other audience', (c, r) => { c.payload.aud = r.pick(['https://evil.example', ORIGIN + '/', ['x'], ['x', ORIGIN], [ORIGIN], [[ORIGIN]]]) }],
  ['token: cnf of the wrong shape', (c, r) => { c.payload.cnf = r.pick([{ jkt: 1 }, { jkt: '' }, { jkt: 'x' }, { kid: 'x' }, {}, [c.key.thumbprint],
    { jkt: c.key.thumbprint + '=' }, { JKT: c.key.thumbprint }, { jkt: [c.key.thumbprint] }, { jkt: c.other.thumbprint }]) }],
  ['token: typ respelt', (c, r) => { c.header.typ = r.pick(['JWT', 'dpop+jwt', 'AT+JWT', 'application/at+jwt', 'text/at+jwt', 'at+jwt ']) }],
  ['token: alg respelt', (c, r) => { c.header.alg = r.pick(['none', 'None', 'HS256', 'RS256', 'ES384', 'EdDSA', 'es256']) }],
  ['token: kid unknown', (c, r) => { c.header.kid = r.pick(['k2', '', 'K1', '../k1']) }],
  ['token: crit', (c, r) => { c.header.crit = r.pick([['exp'], ['b64'], []]) }],
  ['token: embedded jwk', (c) => { c.header.jwk = c.key.jwk }],
  ['token: signed by the client', (c) => { c.signer = c.key }],
  ['token: signed by the client with its jwk', (c) => { c.header.jwk = c.key.jwk; c.signer = c.key }],
  ['token: jku', (c) => { c.header.jku = 'https://evil.example/jwks' }],
  ['token: more members', (c) => { c.payload.act = { sub: 'x' }; c.header.x = 1 }],
  ['token: a member twice', (c, r) => { c.payloadText = (text) => `{"${r.pick(['sub', 'iss', 'x'])}":"${ISSUER}",${text.slice(1)}` }],
  ['token: JSON cut', (c, r) => { c.payloadText = (text) => text.slice(0, r.below(text.length)) }],
  ['token: a bit of the signature', (c, r) => { c.text = (text) => flip(text, text.lastIndexOf('.') + 1 + r.below(84)) }],
  ['token: a character flipped', (c, r) => { c.text = (text) => flip(text, r.below(text.length)) }],
  ['token: a character inserted', (c, r) => { const sign = r.pick(['=', '.', '+', '/', 'A', '-']); c.text = (text) => {
    const at = r.below(text.length + 1); return text.slice(0, at) + sign + text.slice(at) } }],
  ['token: a character deleted', (c, r) => { c.text = (text) => { const at = r.below(text.length); return text.slice(0, at) + text.slice(at + 1) } }],
  ['token: cut', (c, r) => { c.text = (text) => text.slice(0, 1 + r.below(text.length - 1)) }],
  ['token: s negated', (c) => { c.text = negated }],
  ['token: sub with a control character', (c, r) => { c.payload.sub = `a${r.pick(['\r\n', '\n', '\0', '\u007f', 'ä', '\t'])}b` }],
  ['token: sub with a space at an end', (c, r) => { c.payload.sub = r.pick([' a', 'a ']) }],
]

/** Applies none, one or two changes, and gives the text and their names. */
async function build(r, changes, c) {
  const labels = []
  const count = r.pick([0, 1, 1, 1, 1, 1, 2])
  for (let i = 0; i < count; i++) {
    const [label, change] = r.pick(changes)
    if (labels.includes(label)) continue
    change(c, r)
    labels.push(label)
  }
  const plain = labels.length === 0
  let text = plain ? await c.signer.honest(c.header, c.payload)
    : c.signer.hostile((c.headerText ?? String)(JSON.stringify(c.header)), (c.payloadText ?? String)(JSON.stringify(c.payload)))
  if (c.text) text = c.text(text)
  return { labels: plain ? ['untouched'] : labels, text }
}

// ---- the other's verdict ----

async function second(verify, headers) {
  const lower = Object.fromEntries(Object.entries(headers).map(([k, v]) => [k.toLowerCase(), v]))
  const request = { headers: lower, method: 'GET', protocol: 'https', host: 'orders.example.com', hostname: 'orders.example.com',
    originalUrl: PATH, url: PATH, query: {}, body: undefined, is: () => false, get: (name) => lower[name.toLowerCase()] ?? (name === 'host' ? 'orders.example.com' : undefined) }
  request.headers.host = 'orders.example.com'
  return new Promise((resolve) => verify(request, {}, (error) => resolve({ accepted: error === undefined, why: error?.message })))
}

// ---- where they differ ----

// [who accepts, one of the changes, what the gate (where it refuses) or the other says, why that is right]
const EXPLAINED = [
  ['gate', /^nbf and exp$/, /timestamp check failed/,
    'a proof is not a token: RFC 9449 gives exp and nbf no meaning in it, and FAPI 2.0 wants such proofs accepted'],
  ['gate', /^token: no (sub|client_id|iat|jti)$/, /Unexpected '(sub|client_id|iat|jti)' value/,
    'RFC 9068 section 2.2 requires these of the issuer, section 4 does not have the resource server check them; an absent one sets no header'],
  ['other', /./, /the proof was used before/, 'the other does not remember proofs: a jti that comes twice is a replay to the gate alone'],
  ['other', /^b64$/, /crit and b64/, 'RFC 7797: jose ignores b64 that crit does not name; the gate refuses what changes what is signed'],
  ['other', /^(token: )?a (header )?member twice$/, /JSON is not strict/,
    'JSON.parse takes the last of two members, others the first: RFC 7515 section 4 has a reader reject them'],
  ['other', /^jti (of another type|long)$/, /jti is missing, empty or too long/, 'the other looks only whether jti is truthy; the gate wants a string within jti_bytes'],
  ['other', /^htm respelt$/, /htm is not/, 'the other ignores case; methods are case-sensitive (RFC 9110 section 9.1)'],
  ['other', /^typ respelt$/, /typ is not/, 'jose takes "application/dpop+jwt" and other case; RFC 9449 section 4.2 has one spelling'],
  ['other', /^htu respelt$/, /htu is not/, 'WHATWG parsing forgives white space, backslashes and a missing "//"; the gate reads RFC 3986'],
  ['other', /^jwk with more$/, /jwk is not/, 'alg, use or key_ops say that the key is for something else: RFC 7517 section 4'],
  ['other', /^token: (sub|scope|client_id|iat) of another type$/, /a required claim is missing or ill-typed/, 'a claim that becomes a header is a non-empty string, and a time a number'],
  ['other', /^token: sub with /, /a required claim is missing or ill-typed/, 'it becomes a header: control characters, other alphabets and spaces at an end are refused, never cut'],
  ['other', /^token: kid of another type$/, /no key of the issuer fits/, 'a kid that is no string, or empty, names no key; the other falls back to the only one'],
  ['other', /^token: embedded jwk$/, /no key of the issuer fits/, 'a token that brings its own key is refused outright, even where it was not used'],
  ['other', /^token: exp just past$/, /the token has expired/, 'clockTolerance stretches exp for the other; the gate gives no leeway behind exp'],
  ['other', /^token: iat moved$/, /the token is not valid yet/, 'the other has no upper bound for iat without maxTokenAge'],
]

for (const backend of BACKENDS) {
  describe(`express-oauth2-jwt-bearer as a second verifier on ${backend}`, () => {
    let service, gate, issuer, key, other, verify
    before(async () => {
      issuer = await Signer.make()
      key = await Signer.make()
      other = await Signer.make()
      const jwks = { keys: [{ ...issuer.jwk, kid: 'k1', alg: 'ES256', use: 'sig' }] }
      service = await startService()
      gate = await Gate.start({ backend, service, changes: { limits: { head_bytes: '64KiB' } }, issuers: (made) => {
        return [{ issuer: ISSUER, audience: ORIGIN, jwks_file: path.join(made.folder, 'jwks.json') }]
      }, beforeRun: (made) => writeFileSync(path.join(made.folder, 'jwks.json'), JSON.stringify(jwks)) })
      verify = auth({ issuer: ISSUER, audience: ORIGIN, publicKey: jwks, strict: true, clockTolerance: 5,
        dpop: { enabled: true, required: true, iatOffset: 65, iatLeeway: 5 } })
    })
    after(async () => {
      await gate?.stop()
      service?.stop()
    })

    const token = () => ({ signer: issuer, key, other, header: { typ: 'at+jwt', alg: 'ES256', kid: 'k1' }, payload: {
      iss: ISSUER, aud: ORIGIN, sub: 'service-a', client_id: 'client-a', iat: now(), exp: now() + 300, jti: crypto.randomUUID(),
      scope: 'orders', cnf: { jkt: key.thumbprint } } })
    const proof = (ath) => ({ signer: key, key, other, header: { typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, payload: {
      jti: crypto.randomUUID(), htm: 'GET', htu: ORIGIN + PATH, iat: now(), ath } })

    async function both(accessToken, proofText) {
      const headers = { authorization: `DPoP ${accessToken}`, dpop: proofText }
      const theirs = await second(verify, headers)
      const response = await gate.fetch(ORIGIN + PATH, { headers })
      await response.text()
      return { ours: response.status === 200, theirs: theirs.accepted, status: response.status, why: theirs.why,
        challenge: response.headers.get('www-authenticate') }
    }

    async function compare(count, make) {
      const tally = { agreed: 0, accepted: 0, differed: {} }
      const unexplained = []
      const before = service.seen.length
      let passed = 0
      for (let i = 0; i < count; i++) {
        const { labels, accessToken, proofText } = await make()
        const verdict = await both(accessToken, proofText)
        passed += verdict.ours
        if (verdict.ours === verdict.theirs) {
          tally.agreed++
          tally.accepted += verdict.ours
          continue
        }
        const who = verdict.ours ? 'gate' : 'other'
        const said = verdict.ours ? verdict.why : verdict.challenge
        const reason = EXPLAINED.find(([accepts, label, words]) => accepts === who && words.test(said) && labels.some((l) => label.test(l)))
        if (reason) tally.differed[`${who}: ${reason[1].source}`] = (tally.differed[`${who}: ${reason[1].source}`] ?? 0) + 1
        else unexplained.push({ who, labels, ...verdict, accessToken, proofText })
      }
      assert.equal(service.seen.length - before, passed, 'the service saw exactly what was accepted')
      assert.deepEqual(unexplained.slice(0, 3), [])
      return tally
    }

    test('mutated proofs', async (t) => {
      const r = random(20240901)
      const { text: accessToken } = await build({ ...r, pick: () => 0 }, [], token())
      const tally = await compare(PROOFS, async () => {
        const { labels, text } = await build(r, PROOF_CHANGES, proof(hash(accessToken)))
        return { labels, accessToken, proofText: text }
      })
      t.diagnostic(JSON.stringify(tally))
      assert.ok(tally.accepted > PROOFS / 10 && tally.agreed > PROOFS * 0.8)
    })

    test('mutated tokens', async (t) => {
      const r = random(20240902)
      const tally = await compare(TOKENS, async () => {
        const { labels, text } = await build(r, TOKEN_CHANGES, token())
        const made = await build({ ...r, pick: () => 0 }, [], proof(hash(text)))
        return { labels, accessToken: text, proofText: made.text }
      })
      t.diagnostic(JSON.stringify(tally))
      assert.ok(tally.accepted > TOKENS / 10 && tally.agreed > TOKENS * 0.8)
    })

    test('a replay: the other accepts it, the gate does not', async () => {
      const accessToken = await issuer.honest(token().header, token().payload)
      const c = proof(hash(accessToken))
      const proofText = await key.honest(c.header, c.payload)
      const first = await both(accessToken, proofText)
      assert.deepEqual([first.ours, first.theirs], [true, true])
      const again = await both(accessToken, proofText)
      assert.deepEqual([again.ours, again.theirs], [false, true])
      assert.match(again.challenge, /the proof was used before/)
    })

    test('a bound token sent as Bearer: both refuse', async () => {
      const accessToken = await issuer.honest(token().header, token().payload)
      const headers = { authorization: `Bearer ${accessToken}` }
      const theirs = await second(verify, headers)
      const response = await gate.fetch(ORIGIN + PATH, { headers })
      assert.deepEqual([response.status, theirs.accepted], [401, false])
    })
  })
}
