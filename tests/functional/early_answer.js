// Posts a body to PORT PATH and prints what came of it: a status, or the error's code.
const http = require("node:http");
const [port, path, size] = process.argv.slice(2);
const body = Buffer.alloc(Number(size), "x");
let told = false;
const tell = (what) => {
  if (!told) console.log(what);
  told = true;
};
const request = http.request(
  { host: "127.0.0.1", port, path, method: "POST", headers: { "Content-Length": body.length } },
  (response) => {
    let text = "";
    response.on("data", (chunk) => (text += chunk));
    response.on("end", () => tell(`${response.statusCode} ${text ? "with" : "without"} a body`));
    response.on("error", (error) => tell(error.code));
  },
);
request.on("error", (error) => tell(error.code));
request.end(body);
