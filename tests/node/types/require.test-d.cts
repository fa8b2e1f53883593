// The same types for those who `require`.

import lime = require('lime-sdk');
import testing = require('lime-sdk/testing');

const site: lime.LimeSite = new lime.LimeSite({ siteToken: 'st_1' });
const request: Promise<lime.LoginRequest> = site.createLoginRequest();
const sandbox: Promise<testing.LimeSandbox> = testing.LimeSandbox.start();
// @ts-expect-error no such thing
lime.nothing;
