// Clients as they are deployed: openid-client, and the AT Protocol's OAuth client. Each makes its proofs itself and, where a
// nonce is wanted, finds its way by itself.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { NodeOAuthClient } from '@atproto/oauth-client-node'
import * as jose from 'jose'
import * as client from 'openid-client'
import { CLIENT, startAuthorizationServer } from './authorization_server.mjs'
import { BACKENDS, Gate, ORIGIN, startService } from './harness.mjs'

// Why a gate would ask for a nonce: it is told to, or it has just started and does not remember earlier proofs.
const NONCES = {
  'no nonce': {},
  'a nonce required': { dpop: { nonce: 'required' } },
  'a floor after the start': { replay: { cold_start: 'challenge' } },
}

for (const backend of BACKENDS) {
  for (const [name, changes] of Object.entries(NONCES)) {
    describe(`openid-client, ${name}, on ${backend}`, () => {
      let server, service, gate
      before(async () => {
        server = await startAuthorizationServer()
        service = await startService()
        gate = await Gate.start({ backend, service, changes, issuers: (made) => {
          return [{ issuer: server.issuer, audience: ORIGIN, jwks_file: path.join(made.folder, 'jwks.json') }]
        }, beforeRun: (made) => server.saveKeys(path.join(made.folder, 'jwks.json')) })
      })
      after(async () => {
        await gate?.stop()
        service?.stop()
        server?.stop()
      })

      test('asks for a token and calls, several times', async () => {
        const config = await client.discovery(new URL(server.issuer), CLIENT.client_id, CLIENT.client_secret, undefined,
          { execute: [client.allowInsecureRequests] })
        const answers = []
        config[client.customFetch] = async (url, options) => {
          if (!String(url).startsWith(ORIGIN)) return fetch(url, options)
          const response = await gate.fetch(url, options)
          answers.push(response.status)
          return response
        }
        const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
        const tokens = await client.clientCredentialsGrant(config, { scope: 'orders', resource: ORIGIN }, { DPoP })
        assert.equal(tokens.token_type, 'dpop')
        for (const [method, body] of [['GET', undefined], ['POST', 'a body'], ['GET', undefined]]) {
          const response = await client.fetchProtectedResource(config, tokens.access_token, new URL(`${ORIGIN}/orders/7?a=b`),
            method, body, new Headers(body ? { 'content-type': 'text/plain' } : {}), { DPoP })
          assert.equal(response.status, 200)
          const seen = await response.json()
          assert.deepEqual([seen.method, seen.url, seen.body], [method, '/orders/7?a=b', body ?? ''])
          assert.equal(seen.headers['x-popgate-client-id'], CLIENT.client_id)
          assert.equal(seen.headers.dpop, undefined)
        }
        assert.deepEqual(answers, name === 'no nonce' ? [200, 200, 200] : [401, 200, 200, 200], 'one challenge at most')
        assert.equal(service.seen.length, 3)
      })

      test('with another key it is refused', async () => {
        const config = await client.discovery(new URL(server.issuer), CLIENT.client_id, CLIENT.client_secret, undefined,
          { execute: [client.allowInsecureRequests] })
        config[client.customFetch] = (url, options) => (String(url).startsWith(ORIGIN) ? gate.fetch(url, options) : fetch(url, options))
        const mine = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
        const stolen = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
        const tokens = await client.clientCredentialsGrant(config, { scope: 'orders', resource: ORIGIN }, { DPoP: mine })
        const before = service.seen.length
        const status = await client.fetchProtectedResource(config, tokens.access_token, new URL(`${ORIGIN}/orders/7`), 'GET',
          undefined, undefined, { DPoP: stolen }).then((response) => response.status, (error) => error.response?.status ?? error.cause?.status ?? error.status)
        assert.equal(status, 401)
        assert.equal(service.seen.length, before)
      })
    })

    describe(`@atproto/oauth-client-node, ${name}, on ${backend}`, () => {
      const DID = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz'
      const ISSUER = 'https://as.example.com'
      const METADATA = {
        issuer: ISSUER, authorization_endpoint: `${ISSUER}/authorize`, token_endpoint: `${ISSUER}/token`,
        pushed_authorization_request_endpoint: `${ISSUER}/par`, require_pushed_authorization_requests: true,
        response_types_supported: ['code'], grant_types_supported: ['authorization_code', 'refresh_token'],
        code_challenge_methods_supported: ['S256'], token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
        token_endpoint_auth_signing_alg_values_supported: ['ES256'], scopes_supported: ['atproto'],
        dpop_signing_alg_values_supported: ['ES256'], authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: true,
      }
      let service, gate, sessions, answers, oauth
      before(async () => {
        const issuer = await jose.generateKeyPair('ES256', { extractable: true })
        const jwks = { keys: [{ ...(await jose.exportJWK(issuer.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }] }
        service = await startService()
        gate = await Gate.start({ backend, service, changes, issuers: (made) => {
          return [{ issuer: ISSUER, audience: ORIGIN, jwks_file: path.join(made.folder, 'jwks.json') }]
        }, beforeRun: (made) => writeFileSync(path.join(made.folder, 'jwks.json'), JSON.stringify(jwks)) })
        // A session as the client keeps it, after a login that is not the gate's business.
        const own = await jose.generateKeyPair('ES256', { extractable: true })
        const privateJwk = { ...(await jose.exportJWK(own.privateKey)), alg: 'ES256', kid: 'own' }
        const jkt = await jose.calculateJwkThumbprint(await jose.exportJWK(own.publicKey))
        const accessToken = await new jose.SignJWT({ client_id: 'https://client.example.com/metadata.json', scope: 'atproto', cnf: { jkt } })
          .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'k1' }).setIssuer(ISSUER).setAudience(ORIGIN).setSubject(DID)
          .setIssuedAt().setExpirationTime('10m').setJti('t1').sign(issuer.privateKey)
        sessions = new Map([[DID, { dpopJwk: privateJwk, authMethod: { method: 'none' }, tokenSet: { iss: ISSUER, sub: DID, aud: ORIGIN,
          scope: 'atproto', token_type: 'DPoP', access_token: accessToken, expires_at: new Date(Date.now() + 600e3).toISOString() } }]])
        answers = []
        const route = async (input, init) => {
          const request = new Request(input, init)
          if (request.url.startsWith(`${ISSUER}/.well-known/`)) return Response.json(METADATA)
          assert.ok(request.url.startsWith(ORIGIN), request.url)
          const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer())
          const response = await gate.fetch(request.url, { method: request.method, headers: [...request.headers], body })
          answers.push(response.status)
          return new Response(await response.arrayBuffer(), { status: response.status, headers: [...response.headers] })
        }
        oauth = new NodeOAuthClient({
          clientMetadata: { client_id: 'https://client.example.com/metadata.json', redirect_uris: ['https://client.example.com/callback'],
            scope: 'atproto', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], application_type: 'web',
            token_endpoint_auth_method: 'none', dpop_bound_access_tokens: true },
          requestLock: (_, run) => run(),
          stateStore: { get: async () => undefined, set: async () => {}, del: async () => {} },
          sessionStore: { get: async (key) => sessions.get(key), set: async (key, value) => { sessions.set(key, value) },
            del: async (key) => { sessions.delete(key) } },
          fetch: route,
        })
      })
      after(async () => {
        await gate?.stop()
        service?.stop()
      })

      test('restores a session and calls, several times', async () => {
        const session = await oauth.restore(DID)
        for (const [method, body] of [['GET', undefined], ['POST', '{"a":1}'], ['GET', undefined]]) {
          const response = await session.fetchHandler('/xrpc/com.example.call?limit=1', { method, body })
          assert.equal(response.status, 200)
          const seen = await response.json()
          assert.deepEqual([seen.method, seen.url, seen.body], [method, '/xrpc/com.example.call?limit=1', body ?? ''])
          assert.equal(seen.headers['x-popgate-subject'], DID)
          assert.equal(seen.headers.authorization, undefined)
        }
        assert.deepEqual(answers, name === 'no nonce' ? [200, 200, 200] : [401, 200, 200, 200], 'one challenge at most')
      })

      test('a session whose token is bound to another key is refused', async () => {
        const other = { ...(await jose.exportJWK((await jose.generateKeyPair('ES256', { extractable: true })).privateKey)), alg: 'ES256', kid: 'other' }
        const kept = sessions.get(DID)
        const stolen = 'did:plc:z72i7hdynmk6r22z27h6tvur'
        sessions.set(stolen, { ...kept, dpopJwk: other, tokenSet: { ...kept.tokenSet, sub: stolen } })
        const before = service.seen.length
        const session = await oauth.restore(stolen)
        const response = await session.fetchHandler('/xrpc/com.example.call')
        assert.equal(response.status, 401)
        assert.match(response.headers.get('www-authenticate'), /error="invalid_token"/)
        assert.equal(service.seen.length, before)
      })
    })
  }
}
