/* The picker's emoji with the words that find them. */

const GROUPS = {
  Faces: `😀 grinning|😃 happy|😄 laugh|😁 grin|😅 sweat relief|😂 tears joy|🤣 rolling laugh|🙂 smile|🙃 upside down|😉 wink|😊 blush
    |😇 angel|🥰 love hearts|😍 heart eyes|😘 kiss|😋 yummy|😜 tongue wink|🤪 silly|🤗 hug|🤭 giggle|🤫 quiet|🤔 think|😐 neutral|🙄 eye roll
    |😏 smirk|😬 grimace|😌 relieved|😴 sleep|🤒 ill|🤯 mind blown|🥳 party|😎 cool|🤓 nerd|😕 confused|😟 worried|😮 surprised|😳 flushed
    |🥺 please|😢 cry|😭 sob|😱 scream|😤 huff|😡 angry|💀 skull dead|🤡 clown|👻 ghost|🤖 robot`,
  Hands: `👍 thumbs up yes|👎 thumbs down no|👌 okay|✌️ peace|🤞 luck|🤘 rock|👋 wave hello|🙌 praise hooray|👏 clap|🙏 thanks please|🤝 handshake deal
    |💪 strong|👀 eyes look|🫶 heart hands|🤷 shrug|🤦 facepalm|🙋 raise hand|☝️ point up|👉 point right|✍️ write`,
  Hearts: `❤️ red heart love|🧡 orange heart|💛 yellow heart|💚 green heart|💙 blue heart|💜 purple heart|🖤 black heart|🤍 white heart|💔 broken heart|💯 hundred
    |✨ sparkles|🔥 fire|⭐ star|💥 boom|💤 zzz|✅ done check|❌ no cross|❓ question|❗ exclamation|💡 idea`,
  Nature: `🐶 dog|🐱 cat|🦊 fox|🐻 bear|🐼 panda|🐸 frog|🐵 monkey|🐧 penguin|🦉 owl|🐝 bee|🦋 butterfly|🐢 turtle|🐙 octopus|🐳 whale|🌸 blossom|🌻 sunflower
    |🌳 tree|🍀 clover luck|🌈 rainbow|☀️ sun|🌙 moon|⛈️ storm|❄️ snow|🌊 wave sea`,
  Food: `🍎 apple|🍌 banana|🍓 strawberry|🍉 melon|🥑 avocado|🍞 bread|🧀 cheese|🍕 pizza|🍔 burger|🍟 fries|🍣 sushi|🍜 noodles|🍦 ice cream|🎂 cake|🍪 cookie
    |🍫 chocolate|☕ coffee|🍵 tea|🍺 beer|🍷 wine|🥂 cheers`,
  Things: `🎉 party hooray|🎁 gift|🎈 balloon|⚽ football|🏀 basketball|🏆 trophy|🎮 game|🎸 guitar|🎵 music|🎬 film|🚗 car|🚲 bicycle|🚆 train|✈️ plane|🚀 rocket|🏠 house
    |🏖️ beach|🏔️ mountain|⏰ alarm|📅 calendar|📌 pin|📎 clip|📚 books|💻 computer|📱 phone|📷 camera|🔒 lock|🔑 key|💰 money|🛒 shopping`,
};

/** `[{ name, emoji: [{ character, words }] }]` */
export const EMOJI = Object.entries(GROUPS).map(([name, list]) => ({
  name,
  emoji: list.split("|").map((entry) => {
    const [character, ...words] = entry.trim().split(" ");
    return { character, words: words.join(" ") };
  }),
}));

/** What one reacts with most, without the whole picker. */
export const QUICK = ["👍", "❤️", "😂", "😮", "😢", "🎉"];
