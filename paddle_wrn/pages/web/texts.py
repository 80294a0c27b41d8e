"""The words of the page, one table a language."""

LANGUAGES = ("en", "zh")

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "What does this photo show?",
        "known": "This network knows {count} names: {names}.",
        "only": "A photo of anything else is given one of these names all the same.",
        "uncalibrated": "Its probabilities are not calibrated, so it never says that it is not sure.",
        "threshold": "Below {threshold} it says that it is not sure.",
        "never": "It was not good enough in training ever to be sure.",
        "photos": "Photos",
        "camera": "Camera",
        "one_subject": "All photos show the same subject",
        "empty": "Drop up to {most} photos of up to {megabytes} MB, or take one with the camera. "
        "They go to the computer this page runs on, and no further.",
        "together": "All photos together",
        "unsure": "Not sure, perhaps {name}",
        "photo": "The photo",
        "heat": "What speaks for it: yellow most, violet least",
        "refused": "{reason}",
        "left_out": "{count} more were left out: at a time, {most} photos or {seconds} seconds are the most.",
        "failed": "This could not be answered; the window where the page was started says why.",
        "more": "{names} and {count} more",
        "comma": ", ",
        "space": " ",
    },
    "zh": {
        "title": "照片里是什么？",
        "known": "本网络认识 {count} 个名称：{names}。",
        "only": "其他任何东西的照片也会得到其中一个名字。",
        "uncalibrated": "概率未经校准，因此从不回答“没有把握”。",
        "threshold": "概率低于 {threshold} 时回答“没有把握”。",
        "never": "训练结果不够好，因此总是回答“没有把握”。",
        "photos": "照片",
        "camera": "摄像头",
        "one_subject": "所有照片拍的是同一个对象",
        "empty": "请拖入最多 {most} 张照片（每张不超过 {megabytes} MB），或用摄像头拍一张。"
        "照片只传到运行本页面的计算机，不再外传。",
        "together": "所有照片合在一起",
        "unsure": "没有把握，可能是{name}",
        "photo": "照片",
        "heat": "依据所在：黄色最多，紫色最少",
        "refused": "无法识别：{reason}",
        "left_out": "另有 {count} 张未处理：每次最多 {most} 张照片、{seconds} 秒。",
        "failed": "无法回答；启动本页面的窗口里写有原因。",
        "more": "{names}等 {count} 个名称",
        "comma": "、",
        "space": "",
    },
}
