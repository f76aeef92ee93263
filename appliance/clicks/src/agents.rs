//! What a user agent says: person, bot, preview or tool, and the coarse class of a device; by bounded searches for words.
//!
//! Browsers say `Mozilla/5.0 (`; whatever begins otherwise is a program. Among those that do, words give programs away. The
//! oracle of the tests is the list of crawler-user-agents.

use std::collections::HashMap;

use memchr::memmem;

use crate::kinds::{BotClass, DeviceClass};
use crate::limits::{AGENTS_REMEMBERED_MAX, USER_AGENT_BYTES_MAX};

/// Messengers and social networks that look at a link to show it to people.
const PREVIEWS: &[&str] = &[
    "facebookexternalhit",
    "facebookcatalog",
    "facebot",
    "whatsapp/",
    "telegrambot",
    "twitterbot",
    "slackbot",
    "slack-imgproxy",
    "discordbot",
    "linkedinbot",
    "skypeuripreview",
    "bluesky",
    "mastodon",
    "pinterestbot",
    "redditbot",
    "embedly",
    "iframely",
    "viber",
    "vkshare",
    "microsoftpreview",
    "kakaotalk-scrap",
    "link preview",
    "onebox",
    "unfurl",
    "preview",
    "tumblr",
    "flipboard",
    "nuzzel",
    "outbrain",
    "quora link",
    "snap url",
];

/// Libraries and command-line programs.
const TOOLS: &[&str] = &[
    "curl/",
    "wget/",
    "python",
    "java/",
    "go-http",
    "httpclient",
    "perl",
    "ruby",
    "php/",
    "node-fetch",
    "axios",
    "okhttp",
    "libwww",
    "aiohttp",
    "httpx",
    "postman",
    "insomnia",
    "httpie",
    "powershell",
    "guzzle",
    "httpurlconnection",
    "winhttp",
    "indy library",
    "apache-http",
    "reqwest",
    "hyper/",
    "undici",
    "got (",
    "dalvik/",
];

/// Words in the user agents of programs that pose as browsers.
const BOTS: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "scrap",
    "http:",
    "https:",
    "www.",
    ".com",
    ".net",
    ".org",
    ".io/",
    ".de/",
    "@",
    "scan",
    "fetch",
    "monitor",
    "feed",
    "headless",
    "lighthouse",
    "phantom",
    "archiv",
    "validat",
    "check",
    "search",
    "indexer",
    "probe",
    "google-",
    "-google",
    "google favicon",
    "googleother",
    "mediapartners",
    "synthetic",
    "pingdom",
    "ptst/",
    "gtmetrix",
    "playwright",
    "selenium",
    "puppeteer",
    "siteimprove",
    "netcraft",
    "httrack",
    "uptim",
    "datadog",
    "audit",
    "analyz",
    "verif",
    "inspect",
    "survey",
    "capture",
    "webcopy",
    "sitemap",
    "dareboost",
    "appinsights",
    "newsnow",
    "securityheaders",
    "silktide",
    "hardenize",
    "marketgoo",
    "printfriendly",
    "miniature",
    "readable/",
    "collapsify",
    "whatweb",
    "nmap",
    "nikto",
    "sqlmap",
    "masscan",
    "zgrab",
    "rigor)",
    "datanyze",
    "splash ",
    "scope3",
    "testlocally",
    "linktiger",
    "sindup",
    "ghost inspector",
    "manus-user",
    "newsai",
    "foregenix",
    "webmon",
    "content",
    "proximic",
    "wordpress",
    "collector",
    "parser",
    "harvest",
    "explorer/",
    "ahrefs",
    "semrush",
    "yandeximages",
    "daum",
    "optimizer",
    "attracta",
    "recon;",
    "productfinder",
    "cookiehub",
    "downloader",
    "transcoder",
    "yeti",
    "evaluat",
    "reader",
];

/// What a user agent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Who.
    pub bot: BotClass,
    /// From what.
    pub device: DeviceClass,
}

/// Classifies `user_agent`, of which the first 255 bytes count.
pub fn classify(user_agent: &[u8]) -> Agent {
    let mut lower = [0; USER_AGENT_BYTES_MAX];
    let len = user_agent.len().min(lower.len());
    let lower = &mut lower[..len];
    lower.copy_from_slice(&user_agent[..len]);
    lower.make_ascii_lowercase();
    Agent { bot: bot(lower), device: device(lower) }
}

fn has(text: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| memmem::find(text, word.as_bytes()).is_some())
}

fn bot(lower: &[u8]) -> BotClass {
    if lower.is_empty() {
        return BotClass::Nameless;
    }
    if has(lower, PREVIEWS) {
        return BotClass::Preview;
    }
    let browser = lower.starts_with(b"mozilla/5.0 (") || lower.starts_with(b"opera/9");
    // Internet Explorer 6 to 10 is the one browser that calls itself compatible.
    let compatible = has(lower, &["compatible"]) && !has(lower, &["(compatible; msie"]);
    if compatible || BOTS.iter().any(|word| names_a_bot(lower, word)) {
        return BotClass::Bot;
    }
    let old_explorer = lower.starts_with(b"mozilla/4.0 (compatible; msie");
    if has(lower, TOOLS) || !(browser || old_explorer) {
        return BotClass::Tool;
    }
    BotClass::Person
}

/// Whether the word is there, and not as a part of a harmless one: Cubot makes telephones.
fn names_a_bot(lower: &[u8], word: &str) -> bool {
    match word {
        "bot" => memmem::find_iter(lower, b"bot").any(|at| !lower[..at].ends_with(b"cu")),
        word => memmem::find(lower, word.as_bytes()).is_some(),
    }
}

fn device(lower: &[u8]) -> DeviceClass {
    let tv = [
        "smart-tv",
        "smarttv",
        "appletv",
        "googletv",
        "hbbtv",
        "bravia",
        "aft",
        "playstation",
        "xbox",
        "nintendo",
        "web0s",
    ];
    if has(lower, &tv) {
        DeviceClass::Television
    } else if has(lower, &["ipad", "tablet", "kindle", "silk/", "playbook"])
        || (has(lower, &["android"]) && !has(lower, &["mobile"]))
    {
        DeviceClass::Tablet
    } else if has(lower, &["iphone", "ipod", "android", "mobile", "windows phone", "blackberry"]) {
        DeviceClass::Phone
    } else if has(lower, &["windows nt", "macintosh", "x11", "cros ", "linux"]) {
        DeviceClass::Desktop
    } else {
        DeviceClass::Unknown
    }
}

/// Remembers the classes of user agents that came before; a flood of new ones costs their classification, and no memory.
#[derive(Debug, Default)]
pub struct Agents {
    known: HashMap<Box<[u8]>, Agent>,
}

impl Agents {
    /// The class of `user_agent`.
    pub fn class(&mut self, user_agent: &[u8]) -> Agent {
        if let Some(agent) = self.known.get(user_agent) {
            return *agent;
        }
        if self.known.len() >= AGENTS_REMEMBERED_MAX {
            self.known.clear();
        }
        let agent = classify(user_agent);
        self.known.insert(user_agent.into(), agent);
        agent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user_agent: &str, bot: BotClass, device: DeviceClass) {
        assert_eq!(classify(user_agent.as_bytes()), Agent { bot, device }, "{user_agent}");
    }

    #[test]
    fn browsers_are_people_with_a_device() {
        use DeviceClass::{Desktop, Phone, Tablet, Television};
        let person = |user_agent, device| check(user_agent, BotClass::Person, device);
        person("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0", Desktop);
        person(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            Desktop,
        );
        person(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
            Desktop,
        );
        person(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            Phone,
        );
        person(
            "Mozilla/5.0 (Linux; Android 14; CUBOT X90) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
            Phone,
        );
        person(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 331.0 (iPhone14,5; iOS 17_5; de_DE; scale=3.00)",
            Phone,
        );
        person(
            "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            Tablet,
        );
        person(
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
            Television,
        );
        person("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)", Desktop);
    }

    #[test]
    fn programs_are_told_apart() {
        use DeviceClass::Unknown;
        check("", BotClass::Nameless, Unknown);
        check("curl/8.5.0", BotClass::Tool, Unknown);
        check("SomeApp/1.0", BotClass::Tool, Unknown);
        check(
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            BotClass::Preview,
            Unknown,
        );
        check("WhatsApp/2.23.20.0", BotClass::Preview, Unknown);
        check(
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            BotClass::Bot,
            Unknown,
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut agents = Agents::default();
        for number in 0..AGENTS_REMEMBERED_MAX + 10 {
            agents.class(format!("curl/{number}").as_bytes());
        }
        assert!(agents.known.len() <= AGENTS_REMEMBERED_MAX);
        assert_eq!(agents.class(b"curl/3").bot, BotClass::Tool);
    }
}
