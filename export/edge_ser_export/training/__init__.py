"""Training and evaluation of joint models: the recipe of EmoSphere-SER, and small defaults."""
