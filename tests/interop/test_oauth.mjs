// A real authorization server and real clients, end to end: oidc-provider issues, oauth4webapi asks and calls.
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as dpop from 'dpop'
import * as oauth from 'oauth4webapi'
import { CLIENT, startAuthorizationServer } from './authorization_server.mjs'
import { BACKENDS, Gate, ORIGIN, startService } from './harness.mjs'

const insecure = { [oauth.allowInsecureRequests]: true } // the authorization server is on plain loopback

async function askForToken(server, DPoP) {
  const issuer = new URL(server.issuer)
  const metadata = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
  const client = { client_id: CLIENT.client_id }
  const ask = () => oauth.clientCredentialsGrantRequest(metadata, client, oauth.ClientSecretBasic(CLIENT.client_secret),
    new URLSearchParams({ scope: 'orders', resource: ORIGIN }), { DPoP, ...insecure })
  const process = async (response) => oauth.processClientCredentialsResponse(metadata, client, response)
  try {
    return await process(await ask())
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return process(await ask())
  }
}

for (const backend of BACKENDS) {
  describe(`oidc-provider and oauth4webapi on ${backend}`, () => {
    let server, service, gate
    before(async () => {
      server = await startAuthorizationServer()
      service = await startService()
      gate = await Gate.start({ backend, service, issuers: (made) => {
        return [{ issuer: server.issuer, audience: ORIGIN, jwks_file: path.join(made.folder, 'jwks.json') }]
      }, beforeRun: (made) => server.saveKeys(path.join(made.folder, 'jwks.json')) })
    })
    after(async () => {
      await gate?.stop()
      service?.stop()
      server?.stop()
    })

    for (const alg of ['ES256', 'Ed25519']) {
      test(`a token asked for with DPoP passes (${alg})`, async () => {
        const keys = await oauth.generateKeyPair(alg)
        const DPoP = oauth.DPoP({ client_id: CLIENT.client_id }, keys)
        const { access_token: token, token_type: type } = await askForToken(server, DPoP)
        assert.equal(type, 'dpop')
        const response = await oauth.protectedResourceRequest(token, 'POST', new URL(`${ORIGIN}/orders?x=1`),
          new Headers({ 'content-type': 'text/plain' }), 'a body', { DPoP, [oauth.customFetch]: gate.fetch })
        assert.equal(response.status, 200)
        const seen = await response.json()
        assert.equal(seen.method, 'POST')
        assert.equal(seen.url, '/orders?x=1')
        assert.equal(seen.body, 'a body')
        assert.equal(seen.headers['x-popgate-client-id'], CLIENT.client_id)
        assert.equal(seen.headers['x-popgate-issuer'], server.issuer)
        assert.equal(seen.headers['x-popgate-scope'], 'orders')
        assert.equal(seen.headers.authorization, undefined)
        assert.equal(seen.headers.dpop, undefined)
      })

      test(`the dpop package's proofs pass, and once only (${alg})`, async () => {
        const keys = await dpop.generateKeyPair(alg)
        const DPoP = oauth.DPoP({ client_id: CLIENT.client_id }, { privateKey: keys.privateKey, publicKey: keys.publicKey })
        const { access_token: token } = await askForToken(server, DPoP)
        const proof = await dpop.generateProof(keys, `${ORIGIN}/orders`, 'GET', undefined, token)
        const headers = { authorization: `DPoP ${token}`, dpop: proof }
        assert.equal((await gate.fetch(`${ORIGIN}/orders`, { headers })).status, 200)
        const again = await gate.fetch(`${ORIGIN}/orders`, { headers })
        assert.equal(again.status, 401)
        assert.match(again.headers.get('www-authenticate'), /error="invalid_dpop_proof"/)
      })
    }

    test('another key, another path and a plain Bearer are refused', async () => {
      const keys = await dpop.generateKeyPair('ES256')
      const { access_token: token } = await askForToken(server, oauth.DPoP({ client_id: CLIENT.client_id }, keys))
      const thief = await dpop.generateKeyPair('ES256')
      const before = service.seen.length
      const call = async (headers) => (await gate.fetch(`${ORIGIN}/orders`, { headers })).status
      assert.equal(await call({ authorization: `DPoP ${token}`,
        dpop: await dpop.generateProof(thief, `${ORIGIN}/orders`, 'GET', undefined, token) }), 401)
      assert.equal(await call({ authorization: `DPoP ${token}`,
        dpop: await dpop.generateProof(keys, `${ORIGIN}/other`, 'GET', undefined, token) }), 401)
      assert.equal(await call({ authorization: `Bearer ${token}` }), 401)
      assert.equal(service.seen.length, before)
    })
  })
}
