// oidc-provider as the authorization server: client credentials, DPoP, resource indicators, JWT access tokens.
import { once } from 'node:events'
import http from 'node:http'
import { writeFileSync } from 'node:fs'
import * as jose from 'jose'
import { Provider } from 'oidc-provider'
import { ORIGIN } from './harness.mjs'

export const CLIENT = { client_id: 'client-a', client_secret: 'client-a-secret-of-the-interop-test' }

/** Listens on loopback; `alg` signs the access tokens. */
export async function startAuthorizationServer({ alg = 'ES256' } = {}) {
  const { privateKey } = await jose.generateKeyPair(alg, { extractable: true, crv: alg === 'EdDSA' ? 'Ed25519' : undefined })
  const jwk = { ...(await jose.exportJWK(privateKey)), alg, use: 'sig', kid: `interop-${alg}` }
  const server = http.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    jwks: { keys: [jwk] },
    clients: [{ ...CLIENT, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
      id_token_signed_response_alg: alg }],
    scopes: ['orders'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => ORIGIN,
        getResourceServerInfo: () => ({
          scope: 'orders', audience: ORIGIN, accessTokenTTL: 300, accessTokenFormat: 'jwt',
          jwt: { sign: { alg, kid: jwk.kid } },
        }),
      },
    },
  })
  server.on('request', provider.callback())
  return {
    issuer,
    /** Writes the published keys where the gate reads them. */
    async saveKeys(file) {
      const { jwks_uri: uri } = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
      writeFileSync(file, await (await fetch(uri)).text())
    },
    stop: () => { server.closeAllConnections(); server.close() },
  }
}
