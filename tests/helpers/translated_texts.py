"""Short Chinese texts with an English translation, written for tests of the embedding."""

PAIRS = [
    (
        "小行星是围绕太阳运行的岩石天体，大多数位于火星和木星的轨道之间。天文学家用望远镜测量它们的亮度和轨道。",
        "Asteroids are rocky bodies that orbit the Sun, most of them between Mars and Jupiter. Astronomers measure "
        "their brightness and orbits with telescopes.",
    ),
    (
        "把面粉、鸡蛋和糖放进碗里搅拌，加入牛奶和融化的黄油，倒进模具，放入烤箱烤四十分钟。",
        "Stir the flour, eggs and sugar in a bowl, add milk and melted butter, pour it into a tin and bake it in the "
        "oven for forty minutes.",
    ),
    (
        "法院认为，被告没有按照合同约定支付货款，应当承担违约责任，并赔偿原告的损失。",
        "The court held that the defendant had not paid for the goods as the contract required, was liable for the "
        "breach, and had to compensate the plaintiff for the loss.",
    ),
    (
        "糖尿病患者应当控制饮食，定期测量血糖，并按照医生的处方注射胰岛素。",
        "Patients with diabetes should watch their diet, measure their blood sugar regularly and inject insulin as "
        "prescribed by the doctor.",
    ),
    (
        "上半场第三十分钟，前锋接到传球后射门得分，主队以一比零领先，球迷欢呼起来。",
        "In the thirtieth minute of the first half the striker received a pass and scored; the home team led one to "
        "nil and the football fans cheered.",
    ),
    (
        "央行提高了利率，股票市场应声下跌，投资者把资金转向债券和黄金。",
        "The central bank raised interest rates; the stock market fell and investors moved their funds to bonds and "
        "gold.",
    ),
    (
        "神经网络的训练使用反向传播算法计算梯度，再用随机梯度下降更新每一层的权重。",
        "Neural networks are trained by computing gradients with the backpropagation algorithm and updating the "
        "weights of each layer with stochastic gradient descent.",
    ),
    (
        "唐朝是中国历史上的一个朝代，都城在长安，皇帝派遣使者前往西域。",
        "The Tang was a dynasty in the history of China; its capital was Chang'an, and the emperor sent envoys to the "
        "western regions.",
    ),
]
"""The same passage in Chinese and English."""
