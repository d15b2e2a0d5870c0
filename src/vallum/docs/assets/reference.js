// The interactive reference: signs in, fetches the document of whoever signed in, and lets Swagger UI show it.
//
// What a user enters stays in the memory of this page: no storage, no cookie, no URL. Requests go to this origin alone.
// Freshness (X-Request-Timestamp, X-Request-Nonce) and the If-Match of a row that was shown before are added here.
"use strict";

(() => {
  const NONCE_BYTES = 16;
  const FRESH = ["X-Request-Timestamp", "X-Request-Nonce"];
  const METHODS = ["get", "put", "post", "delete", "patch"];

  let credential = null; // { headers } of a token or a key; { id, secret, headers, until } of a client
  let operations = []; // { method, path, fresh } of the document that is shown
  let attempts = 0; // to sign in or out
  let ahead = 0; // milliseconds by which the server's clock is ahead of this one
  const tags = new Map(); // path of a row → its ETag, as last seen

  const element = (id) => document.getElementById(id);

  // Who ---------------------------------------------------------------------------------

  const ofSecret = (secret) => ({
    headers: secret.startsWith("vk_") ? { "X-API-Key": secret } : { Authorization: `Bearer ${secret}` },
  });

  // RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
  const formEncoded = (text) => new URLSearchParams([["", text]]).toString().slice(1);

  // RFC 6749 §4.4
  async function ofClient(id, secret) {
    const answer = await fetch("/oauth/token", {
      method: "POST",
      headers: {
        Authorization: `Basic ${btoa(`${formEncoded(id)}:${formEncoded(secret)}`)}`,
        "Content-Type": "application/x-www-form-urlencoded",
      },
      body: "grant_type=client_credentials",
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error_description ?? body.detail ?? `${answer.status}`);
    const until = Date.now() + (body.expires_in - 10) * 1000;
    return { id, secret, until, headers: { Authorization: `Bearer ${body.access_token}` } };
  }

  async function headersOf(who) {
    if (who?.until < Date.now()) Object.assign(who, await ofClient(who.id, who.secret));
    return who?.headers ?? {};
  }

  // Nobody is signed in before the document is there, and only the last attempt counts.
  async function signIn(made) {
    const mine = ++attempts;
    try {
      const who = await made;
      const found = await asked("/openapi.json", who);
      if (!found.ok && (who || found.status !== 401)) throw new Error(found.body.detail);
      const limits = who && (await asked("/limits", who));
      if (mine !== attempts) return;
      credential = who;
      show(found.ok ? found.body : null, limits?.body.account);
    } catch (error) {
      if (mine === attempts) tell(error.message);
    }
  }

  // At once, whatever the server says: also when it cannot be reached, and before the page is left for another.
  function signOut() {
    attempts++;
    credential = null;
    show(null);
  }

  // What --------------------------------------------------------------------------------

  async function asked(path, who) {
    const answer = await fetch(path, { headers: { ...(await headersOf(who)), Accept: "application/json" } });
    return { ok: answer.ok, status: answer.status, body: await answer.json() };
  }

  function show(spec, account) {
    tell("");
    tags.clear();
    for (const form of document.forms) {
      form.hidden = credential !== null;
      if (credential) form.reset(); // not at the start: somebody may be typing
    }
    element("sign-out").hidden = credential === null;
    const nobody = spec ? "Not signed in: this is what anyone may do." : "Nothing is open to anyone: sign in.";
    element("who").textContent = credential ? `Signed in as ${account}.` : nobody;
    render(spec);
  }

  function tell(problem) {
    element("problem").textContent = problem;
    element("problem").hidden = !problem;
  }

  // The document as Swagger UI gets it: this origin as its server, without what this page does by itself.
  function prepared(spec) {
    const parameter = (one) => (one.$ref ? spec.components.parameters[one.$ref.split("/").pop()] : one);
    operations = [];
    for (const [path, methods] of Object.entries(spec.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const all = (operation.parameters ?? []).map(parameter);
        operation.parameters = all
          .filter((one) => !FRESH.includes(one.name))
          .map((one) => (one.in === "header" ? filledIn(one) : one));
        operations.push({ method, path: pattern(path), fresh: all.some((one) => FRESH.includes(one.name)) });
        delete operation.security;
        operation.responses = Object.fromEntries(
          Object.entries(operation.responses).map(([status, answer]) => [status, shortened(spec, status, answer)])
        );
      }
    }
    delete spec.components.securitySchemes;
    delete spec.security;
    return { ...spec, servers: [{ url: location.origin }] };
  }

  // An example would be sent along, and If-Match is added where it is known.
  function filledIn(header) {
    const hint = header.name === "If-Match" ? " Left empty, it is that of the row as it was last shown here." : "";
    return { ...header, required: false, example: undefined, description: header.description + hint };
  }

  // Of a refusal the codes, each with its page: twenty problem documents would hide the operation.
  function shortened(spec, status, answer) {
    if (status < "400") return answer;
    const { description } = answer.$ref ? spec.components.responses[answer.$ref.split("/").pop()] : answer;
    return { description: description.replace(/^- `(\w+)`/gm, "- [`$1`](/problems/$1)") };
  }

  const pattern = (path) => new RegExp(`^${path.replace(/[.]/g, "\\.").replace(/\{[^}]*\}/g, "[^/,]+")}$`);

  function render(spec) {
    const place = document.createElement("div");
    element("reference").replaceChildren(place);
    element("title").hidden = spec !== null; // the document has its own
    if (spec === null) return;
    SwaggerUIBundle({
      spec: prepared(spec),
      domNode: place,
      presets: [SwaggerUIBundle.presets.apis],
      layout: "BaseLayout",
      docExpansion: "list",
      defaultModelsExpandDepth: 0,
      tryItOutEnabled: true,
      displayRequestDuration: true,
      showMutatedRequest: false, // a credential is never shown
      supportedSubmitMethods: METHODS,
      validatorUrl: null,
      requestInterceptor: outgoing,
      responseInterceptor: incoming,
    });
  }

  // Requests ----------------------------------------------------------------------------

  async function outgoing(request) {
    const url = new URL(request.url, location.origin);
    if (url.origin !== location.origin) throw new Error("Requests go to this origin alone.");
    const method = request.method.toLowerCase();
    Object.assign(request.headers, await headersOf(credential));
    if (operations.some((one) => one.fresh && one.method === method && one.path.test(decodeURI(url.pathname)))) {
      request.headers["X-Request-Timestamp"] = new Date(Date.now() + ahead).toISOString();
      request.headers["X-Request-Nonce"] = nonce();
    }
    const guarded = ["patch", "delete"].includes(method);
    if (guarded && !request.headers["If-Match"] && tags.has(url.pathname)) {
      request.headers["If-Match"] = tags.get(url.pathname);
    }
    return request;
  }

  function nonce() {
    const bytes = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function incoming(response) {
    const { etag, location: made, date } = response.headers ?? {};
    if (date) ahead = Date.parse(date) - Date.now();
    const shown = new URL(made ?? response.url, location.origin);
    // With related rows it is the tag of all of them, and If-Match asks for that of the row alone.
    if (etag && !shown.searchParams.has("include")) tags.set(shown.pathname, etag);
    return response;
  }

  // Begin -------------------------------------------------------------------------------

  element("by-secret").addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(ofSecret(event.target.elements.secret.value.trim()));
  });
  element("by-client").addEventListener("submit", (event) => {
    event.preventDefault();
    const { id, secret } = event.target.elements;
    signIn(ofClient(id.value.trim(), secret.value.trim()));
  });
  element("sign-out").addEventListener("click", () => {
    signOut();
    signIn(null);
  });
  window.addEventListener("pagehide", signOut); // a browser may bring the page back as it was left
  window.addEventListener("pageshow", (event) => event.persisted && signIn(null));
  signIn(null);
})();
