// The example's own code: it passes on the invite that the page was opened with, and shows events.

const call = document.querySelector("voice-call");
call.credential = () => location.hash.slice(1) || sessionStorage.getItem("voice-invite");

for (const name of ["connected", "transcript", "ended", "error"]) {
  document.addEventListener(`voice-${name}`, ({ type, detail }) => {
    const line = document.createElement("li");
    line.textContent = detail ? `${type} ${JSON.stringify(detail)}` : type;
    document.querySelector("ol").append(line);
  });
}
