// Two clients from npm that know the standards and nothing of Vallum: oauth4webapi and openid-client.
//
//   node clients.mjs keys DIR                    a key pair for each algorithm: DIR/ES256.jwk is the public half
//   node clients.mjs ask URL NAME SECRET DIR     everything, as the client NAME and as `NAME-ES256`, `NAME-Ed25519`
//
// Each prints one line for what it has seen, and ends with an exception at the first thing that is not so.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'

const ALGORITHMS = { ES256: { name: 'ECDSA', namedCurve: 'P-256' }, Ed25519: { name: 'Ed25519' } }
const SCOPE = 'articles'
const [, , command, ...given] = process.argv

async function keys(directory) {
  for (const [name, parameters] of Object.entries(ALGORITHMS)) {
    const pair = await crypto.subtle.generateKey(parameters, true, ['sign', 'verify'])
    const shown = async (key) => JSON.stringify(await crypto.subtle.exportKey('jwk', key))
    writeFileSync(`${directory}/${name}.jwk`, await shown(pair.publicKey))
    writeFileSync(`${directory}/${name}.private`, await shown(pair.privateKey), { mode: 0o600 })
  }
}

function privateKey(directory, name) {
  const jwk = JSON.parse(readFileSync(`${directory}/${name}.private`, 'utf8'))
  return crypto.subtle.importKey('jwk', jwk, ALGORITHMS[name], false, ['sign'])
}

async function articles(url, token) {
  const answer = await oauth.protectedResourceRequest(token, 'GET', new URL('/articles', url))
  assert.equal(answer.status, 200)
  return (await answer.json()).items.length
}

async function refused(url, token) {
  const asked = oauth.protectedResourceRequest(token, 'GET', new URL('/articles', url))
  await assert.rejects(asked, (error) => error instanceof oauth.WWWAuthenticateChallengeError && error.status === 401)
}

// RFC 9728 and RFC 8414: from the resource to its authorization server.
async function discovered(url) {
  const resource = await oauth.processResourceDiscoveryResponse(url, await oauth.resourceDiscoveryRequest(url))
  const issuer = new URL(resource.authorization_servers[0])
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' }))
}

async function byOauth4webapi(url, name, method, label) {
  const server = await discovered(url)
  const client = { client_id: name }
  const parameters = new URLSearchParams({ scope: SCOPE })
  const asked = await oauth.clientCredentialsGrantRequest(server, client, method, parameters)
  const token = await oauth.processClientCredentialsResponse(server, client, asked)
  assert.deepEqual([token.token_type, token.expires_in, token.scope], ['bearer', 900, SCOPE])
  assert.ok((await articles(url, token.access_token)) > 0)

  const introspected = async () => {
    const answer = await oauth.introspectionRequest(server, client, method, token.access_token)
    return oauth.processIntrospectionResponse(server, client, answer)
  }
  const shown = await introspected()
  assert.deepEqual([shown.active, shown.sub, shown.scope], [true, name, SCOPE])
  const revoking = await oauth.revocationRequest(server, client, method, token.access_token)
  await oauth.processRevocationResponse(revoking)
  assert.deepEqual(await introspected(), { active: false })
  await refused(url, token.access_token)

  const wider = oauth.clientCredentialsGrantRequest(server, client, method, { scope: 'articles everything' })
  await assert.rejects(
    oauth.processClientCredentialsResponse(server, client, await wider),
    (error) => error.error === 'invalid_scope' && error.status === 400,
  )
  console.log(`ok    oauth4webapi, ${label}: discovery, token, articles, introspection, revocation, narrower only`)
}

async function byOpenidClient(url, name, method, label) {
  const config = await openid.discovery(url, name, undefined, method, { algorithm: 'oauth2' })
  const token = await openid.clientCredentialsGrant(config, { scope: SCOPE })
  assert.equal(token.expires_in, 900)
  const answer = await openid.fetchProtectedResource(config, token.access_token, new URL('/articles', url), 'GET')
  assert.equal(answer.status, 200)
  assert.equal((await openid.tokenIntrospection(config, token.access_token)).client_id, name)
  await openid.tokenRevocation(config, token.access_token)
  assert.deepEqual(await openid.tokenIntrospection(config, token.access_token), { active: false })
  await refused(url, token.access_token)
  console.log(`ok    openid-client, ${label}: discovery, token, articles, introspection, revocation`)
}

async function ask(address, name, secret, directory) {
  const url = new URL(address)
  await byOauth4webapi(url, name, oauth.ClientSecretBasic(secret), 'client_secret_basic')
  await byOpenidClient(url, name, openid.ClientSecretBasic(secret), 'client_secret_basic')
  for (const algorithm of Object.keys(ALGORITHMS)) {
    const key = await privateKey(directory, algorithm)
    const label = `private_key_jwt with ${algorithm}`
    await byOauth4webapi(url, `${name}-${algorithm}`, oauth.PrivateKeyJwt(key), label)
    await byOpenidClient(url, `${name}-${algorithm}`, openid.PrivateKeyJwt(key), label)
  }
  const wrong = await openid.discovery(url, name, undefined, openid.ClientSecretBasic('wrong'), { algorithm: 'oauth2' })
  await assert.rejects(
    openid.clientCredentialsGrant(wrong, { scope: SCOPE }),
    (error) => error.status === 401 && error.cause[0].scheme === 'basic',
  )
  console.log('ok    a wrong secret is refused in the form that both understand')
}

await { keys, ask }[command](...given)
