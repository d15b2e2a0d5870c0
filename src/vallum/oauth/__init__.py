"""The authorization server: OAuth 2.1 (draft-ietf-oauth-v2-1), of which there is the client credentials grant."""
